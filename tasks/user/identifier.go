package user

import (
	"net/url"
	"regexp"
	"strings"
)

// servers maps the ends of WhatsApp's own IDs to the reason why they name no user, if so.
var servers = map[string]string{ //nolint:gochecknoglobals // never changes
	"s.whatsapp.net": "",
	"c.us":           "",
	"lid":            "a LID (@lid) hides its phone number: WhatsApp's block list takes phone numbers and business-scoped user IDs",
	"hosted.lid":     "a LID (@lid) hides its phone number: WhatsApp's block list takes phone numbers and business-scoped user IDs",
	"g.us":           "a group (@g.us): only its members can be blocked, one by one",
	"broadcast":      "a broadcast list (@broadcast), not a user",
	"newsletter":     "a channel (@newsletter), not a user",
}

// device matches a user with the device that WhatsApp's libraries add: 16505551234.0:12.
var device = regexp.MustCompile(`^(\+?[0-9]+)(?:[._][0-9]{1,3})?(?::[0-9]{1,3})?$`)

// identifier takes off what other WhatsApp tools write around a number, and reports whether what
// was there promises a number with a country code.
func identifier(s string) (number string, isID bool, reason string) {
	if user, server, ok := strings.Cut(s, "@"); ok {
		reason, known := servers[strings.ToLower(server)]
		if !known {
			return "", false, notAPhoneCharacter
		}
		if m := device.FindStringSubmatch(user); reason == "" && m != nil {
			return m[1], true, ""
		}
		if reason == "" {
			reason = notAPhoneCharacter
		}
		return "", false, reason
	}
	lower := strings.ToLower(s)
	for _, scheme := range []string{"whatsapp:", "tel:"} {
		if strings.HasPrefix(lower, scheme) && !strings.HasPrefix(lower, scheme+"//") {
			return strings.TrimSpace(s[len(scheme):]), scheme == "whatsapp:", ""
		}
	}
	return link(s, lower)
}

// link reads the links that open a chat.
func link(s, lower string) (number string, isID bool, reason string) {
	if !strings.Contains(lower, "wa.me/") && !strings.Contains(lower, "whatsapp.com/") && !strings.HasPrefix(lower, "whatsapp://") {
		return s, false, ""
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", false, notAPhoneCharacter
	}
	switch host := strings.TrimPrefix(strings.ToLower(u.Host), "www."); {
	case host == "wa.me":
		number = strings.Trim(u.Path, "/")
	case host == "api.whatsapp.com" || host == "web.whatsapp.com" || u.Scheme == "whatsapp" && host == "send":
		// A space is a plus sign that was not written as %2B.
		number = strings.Replace(u.Query().Get("phone"), " ", "+", 1)
	}
	if countDigits(number) == 0 || strings.Contains(number, "/") {
		return "", false, "a link that names no phone number"
	}
	return number, true, ""
}
