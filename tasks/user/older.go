package user

import "regexp"

// olderForms are WhatsApp IDs that today's numbering plans do not have. WhatsApp keeps the ID of
// an account when a country changes its numbers, and so the API and its listings name users by
// numbers that can't be dialled any more. Each row says what changed, and when.
var olderForms = []*regexp.Regexp{ //nolint:gochecknoglobals // never changes
	regexp.MustCompile(`^521[2-9][0-9]{9}$`),                         // Mexico, 2019: a 1 before the area code of mobiles
	regexp.MustCompile(`^55[1-9][1-9][6-9][0-9]{7}$`),                // Brazil, 2012 to 2016: mobiles without the ninth digit
	regexp.MustCompile(`^225(?:0[1-9]|[2-9][0-9])[0-9]{6}$`),         // Ivory Coast, 2021: 8 digits, now 10
	regexp.MustCompile(`^229[2-9][0-9]{7}$`),                         // Benin, 2024: 8 digits, now 01 in front
	regexp.MustCompile(`^84(?:12[0-9]|16[2-9]|18[68]|199)[0-9]{7}$`), // Vietnam, 2018: mobiles with 11 digits, now 10
	regexp.MustCompile(`^237[2-9][0-9]{7}$`),                         // Cameroon, 2014: 8 digits, now 9
	regexp.MustCompile(`^224[67][0-9]{7}$`),                          // Guinea, 2013: 8 digits, now 9
	regexp.MustCompile(`^245[5-79][0-9]{6}$`),                        // Guinea-Bissau, 2014: 7 digits, now 9
	regexp.MustCompile(`^230[79][0-9]{6}$`),                          // Mauritius, 2013: mobiles with 7 digits, now 8
	regexp.MustCompile(`^593[89][0-9]{7}$`),                          // Ecuador, 2012: mobiles with 8 digits, now 9
	regexp.MustCompile(`^6707[0-9]{6}$`),                             // Timor-Leste, 2012: 7 digits, now 8
	regexp.MustCompile(`^201[0-9]{8}$`),                              // Egypt, 2011: mobiles with 9 digits, now 10
	regexp.MustCompile(`^995[5789][0-9]{7}$`),                        // Georgia, 2011: mobiles with 8 digits, now 9
	regexp.MustCompile(`^97259[0-9]{7}$|^97256[0-9]{7}$`),            // Palestine by Israel's code, which has given way to 970
	regexp.MustCompile(`^1555[0-9]{7}$`),                             // no older plan: area code 555, of Meta's test numbers and the simulator's
}

// older reports whether digits are a WhatsApp ID in an older form.
func older(digits string) bool {
	for _, form := range olderForms {
		if form.MatchString(digits) {
			return true
		}
	}
	return false
}
