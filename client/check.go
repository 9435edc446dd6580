package client

import (
	"context"
	"fmt"
)

// Check asks for one entry of the list, the cheapest call that needs both a good token and a
// good phone number ID. Its error says which is wrong and what to do: it matches
// [ErrUnauthorized] or [ErrPhoneNumberID], and wraps the error of the call.
func (c *Client) Check(ctx context.Context, phoneNumberID string) error {
	_, err := c.ListPage(ctx, phoneNumberID, ListOptions{Limit: 1})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w. %s", err, Classify(err).Help)
}
