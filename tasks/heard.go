package tasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// HeardEvent tells that a user has written to a phone number ID. It names the user by one or several of User,
// WaID and UserID, which are names of one person then.
type HeardEvent struct {
	// PhoneNumberID that was written to; default the producer's.
	PhoneNumberID string
	// User is a phone number or BSUID as people write it, WaID a WhatsApp ID (digits), UserID a BSUID.
	User, WaID, UserID string
	// At is the time at which the user wrote. An event of more than 24 hours ago has no effect; one that is more than
	// five minutes ahead is rejected.
	At time.Time
	// Weak says that the event may not let the user be blocked, such as a reaction: its time is not kept,
	// but it brings one more try.
	Weak bool
}

// HeardReport counts the outcomes of events.
type HeardReport struct {
	// Accepted counts the events that were taken; of these, TooOld those that came too late to have an effect.
	Accepted, TooOld int
	// Revived counts the users whose requests are made again.
	Revived int
	// Rejected are the events that were not taken, by their place from 1.
	Rejected []Rejection
}

// ReasonTooFar is the reason of the rejection of an event that is more than five minutes ahead.
const ReasonTooFar = "its time is more than five minutes ahead of Redis's clock"

// Heard notes that users have written: Meta lets a business block those who wrote to it in the last 24 hours.
// Users whose requests had been refused for that reason (131047) are asked for again at once, in the queue
// interactive, at most once a minute each. The latest time of a user wins, so events may come in any order,
// and again. After an error some may have been noted, and Heard is safe to repeat.
func (p *Producer) Heard(ctx context.Context, events ...HeardEvent) (HeardReport, error) {
	var report HeardReport
	byNumber := make(map[string][]said)
	var order []string
	for i, e := range events {
		s, err := e.parse(cmp.Or(e.PhoneNumberID, p.cfg.PhoneNumberID))
		if err != nil {
			report.reject(i, e, err.Error())
			continue
		}
		if byNumber[s.phoneNumberID] == nil {
			order = append(order, s.phoneNumberID)
		}
		s.place = i
		byNumber[s.phoneNumberID] = append(byNumber[s.phoneNumberID], s)
	}
	for _, id := range order {
		for chunk := range slices.Chunk(byNumber[id], heard.MaxBatch) {
			if err := p.heard(ctx, id, chunk, events, &report); err != nil {
				return report, fmt.Errorf("tasks: heard: %w", queues.Explain(err))
			}
		}
	}
	slices.SortFunc(report.Rejected, func(a, b Rejection) int { return a.Line - b.Line })
	return report, nil
}

func (r *HeardReport) reject(place int, e HeardEvent, reason string) {
	r.Rejected = append(r.Rejected, Rejection{Input: cmp.Or(e.User, e.WaID, e.UserID), Line: place + 1, Reason: reason})
}

// Names returns the names under which an event to a phone number ID tells of its user. The error is the reason of a
// rejection, and holds no number.
func (e HeardEvent) Names(phoneNumberID string) ([]user.ID, error) {
	s, err := e.parse(phoneNumberID)
	return s.Names, err
}

// said is an event that was read.
type said struct {
	heard.Event
	phoneNumberID string
	place         int
}

// parse reads an event. Its error is the reason of a rejection, and holds no number.
func (e HeardEvent) parse(phoneNumberID string) (said, error) {
	s := said{phoneNumberID: phoneNumberID, Event: heard.Event{At: e.At, Weak: e.Weak}}
	if err := queues.CheckPhoneNumberID(phoneNumberID); err != nil {
		return s, err
	}
	for _, name := range []struct {
		text, field string
		parse       func(string) (user.ID, error)
	}{
		{e.User, "user", user.Parse},
		{e.WaID, "wa_id", parseWaID},
		{e.UserID, "user_id", user.FromCanonical},
	} {
		if name.text == "" {
			continue
		}
		id, err := name.parse(name.text)
		if err != nil {
			return s, fmt.Errorf("%s: %s", name.field, user.Reason(err))
		}
		if !slices.Contains(s.Names, id) {
			s.Names = append(s.Names, id)
		}
	}
	switch {
	case len(s.Names) == 0:
		return s, errors.New("it names no user: give user, wa_id or user_id")
	case e.At.IsZero():
		return s, errors.New("it has no time: give when the user wrote")
	case e.At.Unix() <= 0:
		return s, errors.New("its time is not after 1970")
	}
	if e.WaID != "" {
		s.WaID = strings.TrimPrefix(e.WaID, "+")
	}
	return s, nil
}

func parseWaID(s string) (user.ID, error) {
	return user.FromCanonical("+" + strings.TrimPrefix(s, "+"))
}

// heard notes some events of one phone number ID, and makes the requests again that they allow.
func (p *Producer) heard(ctx context.Context, phoneNumberID string, some []said, events []HeardEvent, report *HeardReport) error {
	if err := p.recognise(ctx, phoneNumberID, some); err != nil {
		return err
	}
	notes := make([]heard.Event, len(some))
	for i, s := range some {
		notes[i] = s.Event
	}
	outcomes, err := heard.Note(ctx, p.rdb, phoneNumberID, notes)
	if err != nil {
		return err
	}
	wrote := make(map[user.ID]time.Time)
	for i, o := range outcomes {
		if o.TooFar {
			report.reject(some[i].place, events[some[i].place], ReasonTooFar)
			continue
		}
		report.Accepted++
		if o.TooOld {
			report.TooOld++
		}
		for _, u := range o.Dead {
			if at := some[i].At; at.After(wrote[u]) {
				wrote[u] = at
			}
		}
	}
	r := reviving{p: p, phoneNumberID: phoneNumberID, ledger: ledger.New(p.rdb, phoneNumberID), wrote: wrote}
	n, err := r.run(ctx)
	report.Revived += n
	return err
}

// Reheard asks again for those of some users who were refused because they had not written (131047), and who wrote while that
// call was under way: to Heard they were not refused yet. It returns how many. Of an entry, User and WaID count.
func (p *Producer) Reheard(ctx context.Context, phoneNumberID string, refused []ledger.Entry) (revived int, err error) {
	for chunk := range slices.Chunk(refused, ledger.MaxBatch) {
		last, err := heard.Last(ctx, p.rdb, phoneNumberID, chunk)
		if err != nil {
			return revived, fmt.Errorf("tasks: heard: %w", queues.Explain(err))
		}
		wrote := make(map[user.ID]time.Time)
		for i, at := range last {
			if !at.IsZero() {
				wrote[chunk[i].User] = at
			}
		}
		r := reviving{p: p, phoneNumberID: phoneNumberID, ledger: ledger.New(p.rdb, phoneNumberID), wrote: wrote}
		n, err := r.run(ctx)
		if revived += n; err != nil {
			return revived, fmt.Errorf("tasks: heard: %w", queues.Explain(err))
		}
	}
	return revived, nil
}

// recognise learns which names the events tell of one person, and adds to each event those that are known already.
func (p *Producer) recognise(ctx context.Context, phoneNumberID string, some []said) error {
	var told []Told
	var names []user.ID
	var whose []int
	for i, s := range some {
		for _, name := range s.Names {
			if name.IsBSUID() || user.Fold(name.Reveal()) == user.Fold("+"+s.WaID) { // else a caller's mistake joins two persons
				told = append(told, Told{WaID: s.WaID, Name: name, At: s.At})
			}
			names, whose = append(names, name), append(whose, i)
		}
	}
	if _, err := p.Learn(ctx, phoneNumberID, told...); err != nil {
		return err
	}
	l := ledger.New(p.rdb, phoneNumberID)
	for len(names) > 0 {
		n := min(len(names), ledger.MaxBatch)
		known, err := l.NamesOf(ctx, names[:n])
		if err != nil {
			return err
		}
		for j, others := range known {
			s := &some[whose[j]]
			for _, other := range others {
				if !slices.Contains(s.Names, other) {
					s.Names = append(s.Names, other)
				}
			}
		}
		names, whose = names[n:], whose[n:]
	}
	return nil
}
