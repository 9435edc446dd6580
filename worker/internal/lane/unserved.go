package lane

import (
	"context"
	"fmt"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/user"
)

// unserved describes a phone number ID that the worker has no token for: its users take
// the ordinary way, and every call of it fails for good, with the reason. So they end in the
// dead-letter queue, and can be redriven when the worker has learnt of the number.
func unserved(phoneNumberID string) PhoneNumber {
	return PhoneNumber{ID: phoneNumberID, API: noToken{phoneNumberID}, Token: secret.Static(secret.String{})}
}

type noToken struct{ phoneNumberID string }

func (n noToken) err() error {
	return fmt.Errorf("%w: no access token is configured for phone number ID %s: add it to phone_numbers, or set WABLOCK_ACCESS_TOKEN, then redrive",
		client.ErrInvalidRequest, n.phoneNumberID)
}

func (n noToken) Block(context.Context, string, []user.ID) (*client.Result, error) {
	return nil, n.err()
}

func (n noToken) Unblock(context.Context, string, []user.ID) (*client.Result, error) {
	return nil, n.err()
}

func (n noToken) Check(context.Context, string) error { return n.err() }
