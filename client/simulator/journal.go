package simulator

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Operation is one of the three things that the API does.
type Operation string

// The operations.
const (
	Block   Operation = "block"
	Unblock Operation = "unblock"
	List    Operation = "list"
)

// Call is the journal's entry of one call. Users stand in it in clear: the journal is for
// tests, and its numbers are made up.
type Call struct {
	// Seq counts the calls since the start or the last reset, from 1.
	Seq   int64     `json:"seq"`
	Begin time.Time `json:"begin"`
	End   time.Time `json:"end,omitzero"` // zero while in flight
	// Begun and Ended come from one counter: they order the beginnings and ends of all calls
	// even where the clock is too coarse. Ended is 0 while in flight. A call ends just before
	// its answer is sent, so a client that has read the answer begins later.
	Begun int64 `json:"begun"`
	Ended int64 `json:"ended,omitempty"`

	// Operation and PhoneNumberID are empty for a path or method that names none.
	Operation     Operation `json:"operation,omitempty"`
	PhoneNumberID string    `json:"phone_number_id,omitempty"`
	// Users in the order of the request; none for listings, and for requests that could not
	// be read or carry too many.
	Users []CallUser `json:"users,omitempty"`
	// Status is the HTTP status, 0 if no answer was sent (or none yet). Code is the error
	// code at the top of the answer.
	Status int `json:"status,omitempty"`
	Code   int `json:"code,omitempty"`
	// Fault names the fault of the scenario that hit the call.
	Fault string `json:"fault,omitempty"`
	// Entries is the number of users that a listing returned.
	Entries int `json:"entries,omitempty"`
}

// CallUser is one user of a call and what became of them, answered or not.
type CallUser struct {
	User    string  `json:"user"` // "+" and digits, a BSUID, or the start of an input that is neither
	Outcome Outcome `json:"outcome,omitempty"`
	Code    int     `json:"code,omitempty"` // of a failure
}

// Outcome is the result of a call for one user; "" if the call did not get that far.
type Outcome string

// The outcomes.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	OutcomeOmitted   Outcome = "omitted" // in neither list of the answer
)

// maxName is the length of the longest user ID. What is longer is no user, and might fill the memory.
const maxName = len("US.ENT.") + 128

func journalName(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(strings.Clone(name[:maxName]), "") + "…"
}

// journal keeps the newest calls, bounded by their number and by the users in them.
type journal struct {
	limits  JournalLimits
	calls   []*Call
	users   int
	seq     int64
	dropped int64
}

func (j *journal) add(c *Call) {
	j.seq++
	c.Seq = j.seq
	j.calls = append(j.calls, c)
	j.users += len(c.Users)
	j.trim()
}

// trim drops the oldest beyond the limits, but never the newest.
func (j *journal) trim() {
	for len(j.calls) > 1 && (len(j.calls) > j.limits.Calls || j.users > j.limits.Users) {
		j.users -= len(j.calls[0].Users)
		j.calls[0] = nil
		j.calls = j.calls[1:]
		j.dropped++
	}
}

// copies returns the calls after the one numbered since, as they are now.
func (j *journal) copies(since int64) []Call {
	out := make([]Call, 0, len(j.calls))
	for _, c := range j.calls {
		if c.Seq <= since {
			continue
		}
		cp := *c
		if cp.Ended == 0 {
			cp.Users = append([]CallUser(nil), c.Users...) // they still change
		}
		out = append(out, cp)
	}
	return out
}

// journalHead is the first line of a journal in NDJSON.
type journalHead struct {
	Calls   int   `json:"calls"`
	Dropped int64 `json:"dropped"`
}

// ReadJournal reads what GET /_simulator/journal answers. dropped is how many older calls the
// journal no longer held.
func ReadJournal(r io.Reader) (calls []Call, dropped int64, err error) {
	dec := json.NewDecoder(bufio.NewReader(r))
	var head journalHead
	if err := dec.Decode(&head); err != nil {
		return nil, 0, fmt.Errorf("simulator: read journal: %w", err)
	}
	for {
		var c Call
		switch err := dec.Decode(&c); {
		case errors.Is(err, io.EOF):
			if len(calls) != head.Calls {
				return calls, head.Dropped, fmt.Errorf("simulator: read journal: %w: %d calls of %d", io.ErrUnexpectedEOF, len(calls), head.Calls)
			}
			return calls, head.Dropped, nil
		case err != nil:
			return calls, head.Dropped, fmt.Errorf("simulator: read journal: %w", err)
		}
		calls = append(calls, c)
	}
}
