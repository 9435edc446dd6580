// Package audit records who did what: jobs, pauses, changes of limits, of dead letters and of protected
// users, on the command line, over HTTP, by Go services or in the worker. Events go into bounded streams in Redis,
// the oldest of which are dropped: one for jobs, of which there may be many, and one for all else, so that no
// number of jobs pushes out who has paused what. They hold no full number. They are a record, and decide nothing:
// a caller that can't write one logs that, and goes on.
//
//	err := audit.Record(ctx, rdb, audit.Event{Action: audit.Pause, By: "ana@ops1", PhoneNumberID: id, Reason: "wrong file"})
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/user"
)

// Action names a change that an event records.
type Action string

// The actions.
const (
	Job       Action = "job"
	Cancel    Action = "cancel"
	Undo      Action = "undo"
	Pause     Action = "pause"
	Resume    Action = "resume"
	Pin       Action = "pin"
	Cap       Action = "cap"
	Release   Action = "release"
	Redrive   Action = "redrive"
	Discard   Action = "discard"
	Protect   Action = "protect"
	Unprotect Action = "unprotect"
	Reconcile Action = "reconcile"
	Reveal    Action = "reveal" // numbers were shown in full
)

// Event is one thing that was done. Action is required; what does not apply is left out.
type Event struct {
	// At is set by Redis's clock when the event is recorded.
	At            time.Time `json:"at"`
	Action        Action    `json:"action"`
	By            string    `json:"by,omitempty"`
	PhoneNumberID string    `json:"phone_number_id,omitempty"` // "" for all, or where none applies
	Operation     string    `json:"operation,omitempty"`
	JobID         string    `json:"job_id,omitempty"`
	Users         int       `json:"users,omitempty"` // how many were meant
	User          user.ID   `json:"-"`               // the one that was meant; recorded masked, as MaskedUser
	MaskedUser    string    `json:"user,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	Reference     string    `json:"reference,omitempty"` // of a job: a ticket or a case
	Detail        string    `json:"detail,omitempty"`    // what else there is to know: a rate, an end, a code
}

// MaxEvents bounds each stream; Redis trims it by whole nodes, so it is a little longer.
const MaxEvents = 20_000

// MaxReason bounds a reason, and a detail, in characters; longer ones are cut.
const MaxReason = 500

const (
	maxName   = 100
	maxJobID  = 255
	streamKey = "wablock:audit"
	jobsKey   = streamKey + ":jobs"
	field     = "event"
	timeout   = 2 * time.Second
	pageSize  = 500
)

// Record writes an event. It takes at most two seconds, and also when ctx has been canceled, since what the
// event is about was done.
func Record(ctx context.Context, rdb redis.UniversalClient, e Event) error {
	text, err := json.Marshal(e.bounded())
	if err != nil {
		return fmt.Errorf("audit: record: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	stream := streamKey
	if e.Action == Job {
		stream = jobsKey
	}
	err = rdb.XAdd(ctx, &redis.XAddArgs{Stream: stream, MaxLen: MaxEvents, Approx: true, Values: []any{field, text}}).Err()
	if err != nil {
		return fmt.Errorf("audit: record %s: %w", e.Action, err)
	}
	return nil
}

// bounded returns e without full numbers and without long or unprintable texts.
func (e Event) bounded() Event {
	e.At = time.Time{}
	e.By, e.JobID = clean(e.By, maxName), clean(e.JobID, maxJobID)
	e.Reason, e.Detail = clean(user.Scrub(e.Reason), MaxReason), clean(user.Scrub(e.Detail), MaxReason)
	e.Reference = clean(user.Scrub(e.Reference), MaxReason)
	if !e.User.IsZero() {
		e.MaskedUser = e.User.String()
	}
	return e
}

// clean returns the first characters of s, with a space for each that can't be printed.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

// Changes is Read without the accepted jobs.
func Changes(ctx context.Context, rdb redis.UniversalClient, since time.Time, limit int) ([]Event, error) {
	return read(ctx, rdb, streamKey, since, limit)
}

// maxSearched bounds the events among which Last looks for one.
const maxSearched = 2000

// Last returns the newest event of an action on a phone number ID among the last 2,000 changes, false where there is
// none.
func Last(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, action Action) (Event, bool, error) {
	events, err := read(ctx, rdb, streamKey, time.Time{}, maxSearched)
	if err != nil {
		return Event{}, false, err
	}
	i := slices.IndexFunc(events, func(e Event) bool { return e.Action == action && e.PhoneNumberID == phoneNumberID })
	if i < 0 {
		return Event{}, false, nil
	}
	return events[i], true, nil
}

// Read returns the events since a time (zero for all that are kept), newest first, at most limit.
func Read(ctx context.Context, rdb redis.UniversalClient, since time.Time, limit int) ([]Event, error) {
	events, err := read(ctx, rdb, streamKey, since, limit)
	if err != nil {
		return nil, err
	}
	jobs, err := read(ctx, rdb, jobsKey, since, limit)
	if err != nil {
		return nil, err
	}
	events = append(jobs, events...)
	slices.SortStableFunc(events, func(a, b Event) int { return b.At.Compare(a.At) })
	return events[:min(limit, len(events))], nil
}

// read returns the events of one stream.
func read(ctx context.Context, rdb redis.UniversalClient, stream string, since time.Time, limit int) ([]Event, error) {
	oldest, newest := "-", "+"
	if !since.IsZero() {
		oldest = fmt.Sprintf("%d-0", since.UnixMilli())
	}
	var events []Event
	for len(events) < limit {
		messages, err := rdb.XRevRangeN(ctx, stream, newest, oldest, int64(min(pageSize, limit-len(events)))).Result()
		if err != nil {
			return nil, fmt.Errorf("audit: read: %w", err)
		}
		if len(messages) == 0 {
			break
		}
		for _, m := range messages {
			if e, ok := parse(m); ok {
				events = append(events, e)
			}
		}
		newest = "(" + messages[len(messages)-1].ID
	}
	return events, nil
}

// parse reads one entry of the stream; false for what is no event.
func parse(m redis.XMessage) (Event, bool) {
	text, _ := m.Values[field].(string)
	var e Event
	var ms, sequence int64
	if _, err := fmt.Sscanf(m.ID, "%d-%d", &ms, &sequence); err != nil || json.Unmarshal([]byte(text), &e) != nil || e.Action == "" {
		return Event{}, false
	}
	e.At = time.UnixMilli(ms).UTC()
	return e, true
}
