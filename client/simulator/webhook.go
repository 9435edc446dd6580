package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// webhookTimeout bounds the sending of one webhook; Meta's own is not published.
const webhookTimeout = 10 * time.Second

// delivery holds where a webhook goes, and how it is signed.
type delivery struct{ to, appSecret, phoneNumberID string }

// send sends a webhook, signed with the app secret as Meta does, once: an answer other than 200 is an error.
func (d delivery) send(ctx context.Context, webhook object) error {
	u, err := url.Parse(d.to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("simulator: webhook must be an http or https URL")
	}
	if d.appSecret == "" {
		return errors.New("simulator: a webhook is signed with the app secret: give the scenario an app_secret")
	}
	body, err := json.Marshal(webhook)
	if err != nil {
		return fmt.Errorf("simulator: webhook: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.to, strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("simulator: webhook: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(d.appSecret))
	_, _ = mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	res, err := (&http.Client{}).Do(r)
	if err != nil {
		return fmt.Errorf("simulator: webhook: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("simulator: the webhook was answered with %d", res.StatusCode)
	}
	return nil
}

// object is a JSON object.
type object = map[string]any

// body returns a webhook of one change, as Meta's pages have it.
func (d delivery) body(value object) object {
	value["messaging_product"] = "whatsapp"
	value["metadata"] = object{"display_phone_number": "15550000001", "phone_number_id": d.phoneNumberID}
	return object{"object": "whatsapp_business_account", "entry": []object{{
		"id": "200000000000001", "changes": []object{{"field": "messages", "value": value}},
	}}}
}

// message returns the webhook of a text message.
func (d delivery) message(who identity, at time.Time) object {
	profile := object{"name": "Simulated"}
	if who.hidden != "" {
		profile["username"] = who.hidden
	}
	from, contact := object{}, object{"profile": profile}
	if who.waID != "" {
		from["from"], contact["wa_id"] = who.waID, who.waID
	}
	if who.userID != "" {
		from["from_user_id"], contact["user_id"] = who.userID, who.userID
	}
	maps.Copy(from, object{"id": "wamid.simulated", "timestamp": unix(at), "type": "text", "text": object{"body": "simulated"}})
	return d.body(object{"contacts": []object{contact}, "messages": []object{from}})
}

// change returns the webhook of a message of the system, which has no contacts.
func (d delivery) change(before, after identity, at time.Time) object {
	system := object{"body": "simulated", "type": "user_changed_user_id"}
	message := object{"id": "wamid.simulated", "timestamp": unix(at), "type": "system", "system": system}
	if after.waID != before.waID {
		system["type"], system["wa_id"] = "user_changed_number", after.waID
		if before.waID != "" {
			message["from"] = before.waID
		}
	}
	if after.userID != "" {
		system["user_id"] = after.userID
	}
	if before.userID != "" {
		system["previous_user_id"] = before.userID
	}
	return d.body(object{"messages": []object{message}})
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
