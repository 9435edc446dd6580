package user

import "regexp"

// longDigits matches what could be a phone number inside a sentence, grouped or not, and the
// body of a BSUID.
var longDigits = regexp.MustCompile(`\b[A-Z]{2}\.[0-9A-Za-z]{8,128}\b|\+?[0-9](?:[ .()\-]{0,2}[0-9]){6,}`)

// Scrub returns text with everything in it that could be a phone number or a BSUID replaced
// by "…". It is for free text from outside (the API's messages) that goes on into logs,
// errors and web pages; it would rather hide an innocent long number than show a user's.
func Scrub(text string) string { return longDigits.ReplaceAllString(text, "…") }
