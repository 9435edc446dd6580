package client

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// Result is what one call to [Client.Block] or [Client.Unblock] brought.
type Result struct {
	Outcomes []Outcome // one per user asked for, in the order asked
	Meta     Meta
}

// Outcome is the fate of one user. It prints masked.
type Outcome struct {
	User  user.ID
	State OutcomeState
	// WaID is the user's WhatsApp ID, which may differ from the number; "" when not told.
	WaID string
	// Error says why the user failed; nil otherwise. Shared between users: read only.
	Error *APIError
}

// OutcomeState says what the answer said of a user.
type OutcomeState int

const (
	// Unknown: in neither list, or in both. Ask again.
	Unknown OutcomeState = iota
	// Succeeded: the API did what was asked.
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

// matcher brings what an answer says of its users together with the users asked for.
type matcher struct {
	index    map[string]int
	result   []Outcome
	seen     []seen
	leftover []leftover
	errors   map[string]*APIError // by their JSON: most users fail for the same few reasons
	trace    string
}

// seen is how entries named a user.
type seen struct {
	byInput bool // as it was sent
	both    bool // as succeeded and as failed
}

// leftover is an entry whose input is no user asked for as it was sent.
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

// outcomes gives the leftovers to users whom no entry named by its input, and returns all.
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

// canonical writes a number as the canonical IDs have it: a plus and its digits.
func canonical(number text) string {
	return "+" + strings.Map(func(r rune) rune {
		if strings.ContainsRune("+ -.()", r) {
			return -1
		}
		return r
	}, string(number))
}
