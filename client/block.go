package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/wablock/wablock/tasks/user"
)

// MaxUsers is how many users one call may carry (Meta's page of May 2026).
const MaxUsers = 1000

// Block asks the API, in one request, to block users (1 to [MaxUsers]) on the list of a
// business phone number. The Result gives each user a fate of its own, and is non-nil
// whenever the API answered with something that could be read. A mixed answer is no error.
//
// An error speaks of the call as a whole, and thus of the users whose State is Unknown; those
// that a list named in spite of it are as their Outcome says. It is an [*APIError],
// [*ResponseError] or [*TransportError], or matches [ErrInvalidRequest] when nothing was sent.
func (c *Client) Block(ctx context.Context, phoneNumberID string, users []user.ID) (*Result, error) {
	return c.change(ctx, http.MethodPost, phoneNumberID, users)
}

// Unblock asks the API, in one request, to unblock users. It is like [Client.Block] in all
// else.
func (c *Client) Unblock(ctx context.Context, phoneNumberID string, users []user.ID) (*Result, error) {
	return c.change(ctx, http.MethodDelete, phoneNumberID, users)
}

func (c *Client) change(ctx context.Context, method, phoneNumberID string, users []user.ID) (*Result, error) {
	body, index, err := encode(users)
	if err != nil {
		return nil, err
	}
	a, err := c.send(ctx, method, phoneNumberID, nil, body)
	if err != nil {
		return nil, err
	}
	return readResult(a, method, users, index)
}

// encode writes the request and returns where each user stands in users: the first place of
// one who is there twice, whom the request names once. Canonical IDs need no escaping.
func encode(users []user.ID) (body []byte, index map[string]int, err error) {
	if len(users) == 0 || len(users) > MaxUsers {
		return nil, nil, fmt.Errorf("%w: %d users, and a call takes 1 to %d", ErrInvalidRequest, len(users), MaxUsers)
	}
	const head, tail = `{"messaging_product":"whatsapp","block_users":[`, `]}`
	body = make([]byte, 0, len(head)+len(users)*len(`{"user":"+123456789012345"},`)+len(tail))
	index = make(map[string]int, len(users))
	body = append(body, head...)
	for i, id := range users {
		if id.IsZero() {
			return nil, nil, fmt.Errorf("%w: the user at place %d is the zero ID", ErrInvalidRequest, i)
		}
		name := id.Reveal()
		if _, twice := index[name]; twice {
			continue
		}
		index[name] = i
		if i > 0 {
			body = append(body, ',')
		}
		if id.IsBSUID() {
			body = append(body, `{"user_id":"`...)
		} else {
			body = append(body, `{"user":"`...)
		}
		body = append(body, name...)
		body = append(body, `"}`...)
	}
	return append(body, tail...), index, nil
}
