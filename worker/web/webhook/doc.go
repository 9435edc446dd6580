// Package webhook receives Meta's webhooks: it answers the handshake, verifies the signature of what is posted,
// and tells who wrote to a phone number ID, and when. Of a message it reads the sender, the phone number ID, the
// time and the type; nothing of its content is read, kept or logged.
//
// Files: event.go (what is told), walk.go (a body's events), handler.go (HTTP: handshake, signature, bounds),
// heard.go (the consumer that asks for users again who wrote).
package webhook
