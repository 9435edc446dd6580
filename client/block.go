package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// MaxUsers is the most users that one call may carry (Meta's page of May 2026).
const MaxUsers = 1000

// Block blocks users (1 to [MaxUsers]) on the list of a business phone number, in one request.
// The Result has an outcome for each user, and is non-nil whenever the answer could be read. A
// mixed answer is not an error.
//
// An error is about the call as a whole, and thus about the users whose State is Unknown; users
// that the answer lists in spite of it keep their Outcome. It is an [*APIError],
// [*ResponseError] or [*TransportError], or matches [ErrInvalidRequest] when nothing was sent.
func (c *Client) Block(ctx context.Context, phoneNumberID string, users []user.ID) (*Result, error) {
	return c.change(ctx, http.MethodPost, phoneNumberID, users)
}

// Unblock unblocks users, in one request. Otherwise it is like [Client.Block].
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

// wireRequest is the body of a block or unblock call.
type wireRequest struct {
	MessagingProduct string      `json:"messaging_product"`
	BlockUsers       []wireInput `json:"block_users"`
}

type wireInput struct {
	User   string `json:"user,omitempty"`
	UserID string `json:"user_id,omitempty"`
}

// encode returns the request body and the index of each user in users: the first one of a user
// that is there twice; the request names it once.
func encode(users []user.ID) (body []byte, index map[string]int, err error) {
	if len(users) == 0 || len(users) > MaxUsers {
		return nil, nil, fmt.Errorf("%w: %d users, and a call takes 1 to %d", ErrInvalidRequest, len(users), MaxUsers)
	}
	w := wireRequest{MessagingProduct: "whatsapp", BlockUsers: make([]wireInput, 0, len(users))}
	index = make(map[string]int, len(users))
	for i, id := range users {
		if id.IsZero() {
			return nil, nil, fmt.Errorf("%w: the user at place %d is the zero ID", ErrInvalidRequest, i)
		}
		name := id.Reveal()
		if _, twice := index[name]; twice {
			continue
		}
		index[name] = i
		if id.IsBSUID() {
			w.BlockUsers = append(w.BlockUsers, wireInput{UserID: name})
		} else {
			w.BlockUsers = append(w.BlockUsers, wireInput{User: name})
		}
	}
	body, err = json.Marshal(w)
	return body, index, err
}

// Result is the answer to one call of [Client.Block] or [Client.Unblock].
type Result struct {
	Outcomes []Outcome // one per user of the request, in its order
	Meta     Meta
}

// Outcome is the result for one user. It prints masked.
type Outcome struct {
	User  user.ID
	State OutcomeState
	// WaID is the user's WhatsApp ID, which may differ from the number; "" when not given.
	WaID string
	// Error is the reason of a failure; nil otherwise. Shared between users: read only.
	Error *APIError
}

// OutcomeState is the state of a user in an answer.
type OutcomeState int

const (
	// Unknown: in neither list, or in both. The call is to be repeated.
	Unknown OutcomeState = iota
	// Succeeded: the user is blocked, or unblocked, as requested.
	Succeeded
	// Failed: the API refused this user; see Outcome.Error.
	Failed
)

var stateNames = [...]string{"unknown", "succeeded", "failed"}

func (s OutcomeState) String() string { return nameOf(stateNames[:], int(s)) }

// String masks the user and leaves the WhatsApp ID out.
func (o Outcome) String() string {
	s := o.User.String() + " " + o.State.String()
	if o.Error != nil {
		s += ": " + o.Error.Error()
	}
	return s
}

// Format masks under every verb.
func (o Outcome) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// MarshalText masks.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// LogValue masks.
func (o Outcome) LogValue() slog.Value { return slog.StringValue(o.String()) }

type wireResult struct {
	Lists *struct {
		Added   []wireUser `json:"added_users"`
		Removed []wireUser `json:"removed_users"`
		Failed  []wireUser `json:"failed_users"`
	} `json:"block_users"`
	Error json.RawMessage `json:"error"`
}

type wireUser struct {
	Input  text            `json:"input"`
	WaID   text            `json:"wa_id"`
	UserID text            `json:"user_id"`
	Errors json.RawMessage `json:"errors"`
}

// readResult reads the answer to a block or unblock call, whatever its status.
func readResult(a answer, method string, users []user.ID, index map[string]int) (*Result, error) {
	var w wireResult
	if err := decode(a, &w); err != nil {
		return nil, err
	}
	failure := wholeCall(w.Error, &a.meta)
	if w.Lists == nil && failure == nil {
		return nil, &ResponseError{What: "JSON that has neither block_users nor error", Meta: a.meta}
	}
	m := newMatcher(users, index, a.meta.FBTraceID)
	named := 0
	if w.Lists != nil {
		done := w.Lists.Added
		if method == http.MethodDelete {
			// Meta's page of October 2025 showed added_users here, later ones removed_users.
			done = append(w.Lists.Removed, w.Lists.Added...)
		}
		m.add(done, Succeeded)
		m.add(w.Lists.Failed, Failed)
		named = len(done) + len(w.Lists.Failed)
	}
	result := &Result{Outcomes: m.outcomes(), Meta: a.meta}
	if failure != nil && (failure.Code != codeFailedUsers || named == 0) {
		return result, failure
	}
	return result, nil
}

// matcher assigns the entries of an answer to the users of the request.
type matcher struct {
	index    map[string]int
	result   []Outcome
	seen     []seen
	leftover []leftover
	errors   map[string]*APIError // by their JSON: most users fail for the same few reasons
	trace    string
}

// seen records how entries named a user.
type seen struct {
	byInput bool // as it was sent
	both    bool // as succeeded and as failed
}

// leftover is an entry whose input is not in the request as it was sent.
type leftover struct {
	entry wireUser
	state OutcomeState
}

func newMatcher(users []user.ID, index map[string]int, trace string) *matcher {
	m := &matcher{
		index:  index,
		result: make([]Outcome, len(users)),
		seen:   make([]seen, len(users)),
		trace:  trace,
	}
	for i, id := range users {
		m.result[i].User = id
	}
	return m
}

func (m *matcher) add(entries []wireUser, state OutcomeState) {
	for _, e := range entries {
		if i, ok := m.index[string(e.Input)]; ok {
			m.seen[i].byInput = true
			m.settle(i, e, state)
		} else {
			m.leftover = append(m.leftover, leftover{e, state})
		}
	}
}

func (m *matcher) settle(i int, e wireUser, state OutcomeState) {
	o := &m.result[i]
	if o.State != Unknown && o.State != state {
		m.seen[i].both = true
	}
	o.State = state
	if o.WaID == "" {
		o.WaID = string(e.WaID)
	}
	if state == Failed && o.Error == nil {
		o.Error = m.error(e.Errors)
	}
}

// outcomes assigns the leftovers to users that no entry named by its input, and returns all.
func (m *matcher) outcomes() []Outcome {
	for _, l := range m.leftover {
		for _, name := range []string{canonical(l.entry.Input), canonical(l.entry.WaID), string(l.entry.UserID)} {
			if i, ok := m.index[name]; ok && !m.seen[i].byInput {
				m.settle(i, l.entry, l.state)
				break
			}
		}
	}
	for i := range m.result {
		o := &m.result[i]
		if first := m.index[o.User.Reveal()]; first != i {
			*o = m.result[first]
		} else if m.seen[i].both {
			o.State, o.Error = Unknown, nil
		}
	}
	return m.result
}

// error reads a user's errors; a failure without a reason is an error without a code.
func (m *matcher) error(raw json.RawMessage) *APIError {
	if e, ok := m.errors[string(raw)]; ok {
		return e
	}
	e := parseErrors(raw)
	if e == nil {
		e = &APIError{Code: NoCode, Message: "the user failed without a reason"}
	}
	if e.FBTraceID == "" {
		e.FBTraceID = m.trace
	}
	if m.errors == nil {
		m.errors = make(map[string]*APIError)
	}
	m.errors[string(raw)] = e
	return e
}

// canonical returns a number in the form of canonical IDs: a plus and its digits.
func canonical(number text) string {
	return "+" + strings.Map(func(r rune) rune {
		if strings.ContainsRune("+ -.()", r) {
			return -1
		}
		return r
	}, string(number))
}
