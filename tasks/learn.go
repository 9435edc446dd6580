package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// NumberChanged is the name by which a block under a new name is asked for.
const NumberChanged = "change of number"

// learnBatch bounds the names of one step in Redis: some milliseconds.
const learnBatch = 100

// Told holds what was told of one person at a time, by an answer or a listing of the API or by a webhook of Meta's: any of
// its fields may be empty.
type Told struct {
	// WaID is the WhatsApp ID, in digits; UserID the BSUID.
	WaID, UserID string
	// Name is the number as it was dialled.
	Name user.ID
	// PreviousWaID and PreviousUserID are what the person was known as until now, as a message of the system tells.
	PreviousWaID, PreviousUserID string
	// At is the time at which it was told, or the message sent; the zero time is now.
	At time.Time
}

func (t Told) at(now time.Time) time.Time {
	if t.At.IsZero() || t.At.After(now) {
		return now
	}
	return t.At
}

// Learn takes in which names are those of one person, as was told on a phone number ID: a WhatsApp ID, a number, a
// business-scoped user ID (BSUID). From then on a request under any of them is for the same user; see
// [ledger.Ledger.Join]. When a number or a BSUID has changed, a block that is wanted is asked for under the new name too,
// and the old one kept. What names no user, as a parent BSUID, is passed over, and so is a name that is told of two persons
// at once, and a person that is told more than [ledger.MaxNames] names at once. It may be repeated, and comes in any order:
// of a name, what was told last counts. It returns how many blocks were asked for under new names.
func (p *Producer) Learn(ctx context.Context, phoneNumberID string, told ...Told) (asked int, err error) {
	if err := queues.CheckPhoneNumberID(phoneNumberID); err != nil {
		return 0, fmt.Errorf("tasks: learn: %w", err)
	}
	l := ledger.New(p.rdb, phoneNumberID)
	now := time.Now()
	var changes []change
	joins := pairsOf(told, now)
	for chunk := range slices.Chunk(joins, learnBatch) {
		was, err := l.Join(ctx, chunk, p.cfg.Names)
		if err != nil {
			return 0, fmt.Errorf("tasks: learn: %w", err)
		}
		for i, before := range was {
			if !before.IsZero() {
				changes = append(changes, change{before, numberOf(chunk[i].WaID), chunk[i].At})
			}
		}
	}
	changes = append(changes, changesOf(told, now)...)
	for _, c := range changes {
		one, err := p.follow(ctx, l, c)
		if err != nil {
			return asked, fmt.Errorf("tasks: learn: %w", err)
		}
		if one {
			asked++
		}
	}
	return asked, nil
}

// pairsOf returns the names that were told with a WhatsApp ID.
func pairsOf(told []Told, now time.Time) []ledger.Named {
	first, twice, names := map[user.ID]string{}, map[user.ID]bool{}, map[string]int{}
	var all []ledger.Named
	add := func(name user.ID, waID string, at time.Time) {
		told, ok := ledger.NewName(name, waID, at)
		if !ok {
			return
		}
		if before, again := first[name]; again {
			twice[name] = twice[name] || before != waID && at.Equal(now)
		} else if at.Equal(now) {
			names[waID]++
		}
		first[name] = waID
		all = append(all, told)
	}
	for _, t := range told {
		add(idOf(t.UserID), t.WaID, t.at(now))
		add(t.Name, t.WaID, t.at(now))
	}
	return slices.DeleteFunc(all, func(n ledger.Named) bool { return twice[n.Name] || names[n.WaID] > ledger.MaxNames })
}

// change is a person's new name, and when that was told.
type change struct {
	from, to user.ID
	at       time.Time
}

// changesOf returns the changes that messages of the system tell.
func changesOf(told []Told, now time.Time) []change {
	var all []change
	for _, t := range told {
		to := numberOf(t.WaID)
		if to.IsZero() {
			to = idOf(t.UserID)
		}
		for _, from := range []user.ID{numberOf(t.PreviousWaID), idOf(t.PreviousUserID)} {
			if !from.IsZero() && !to.IsZero() && from != to {
				all = append(all, change{from, to, t.at(now)})
			}
		}
	}
	return all
}

// numberOf returns the user of a WhatsApp ID, the zero ID for what is none.
func numberOf(waID string) user.ID {
	id, err := user.FromCanonical("+" + waID)
	if err != nil {
		return user.ID{}
	}
	return id
}

// idOf returns the user of a BSUID, the zero ID for what is none, as a parent BSUID.
func idOf(userID string) user.ID {
	id, err := user.FromCanonical(userID)
	if err != nil || !id.IsBSUID() {
		return user.ID{}
	}
	return id
}

// follow asks for a wanted block under the new name too, in the order of the first request: what was asked for under
// the new name since then wins. The old one is kept.
func (p *Producer) follow(ctx context.Context, l *ledger.Ledger, c change) (asked bool, err error) {
	entries, err := l.Entries(ctx, []user.ID{c.from, c.to})
	if err != nil {
		return false, err
	}
	old, now := entries[0], entries[1]
	at := time.Now()
	ended := old.Job.Ends > 0 && old.Job.Ends <= at.UnixMilli()
	if old.State == ledger.Unknown || old.State == ledger.Discarded || old.Operation != ledger.Block || ended || now.Version >= old.Version {
		return false, nil
	}
	// Asked for since: the old name is another person's by now. A version that is still to come was given by a clock that went
	// ahead, and does not tell.
	if v := old.Version.Time(); v.After(c.at) && !v.After(at) {
		return false, nil
	}
	texts, err := l.Texts(ctx, []string{old.Job.Text})
	if err != nil {
		return false, err
	}
	text := texts[old.Job.Text]
	r := Request{
		Operation: ledger.Block, PhoneNumberID: l.PhoneNumberID(), Users: []user.ID{c.to}, Queue: ledger.Interactive, Version: old.Version,
		Requester: NumberChanged, Reason: text.Reason, Reference: text.Reference, Standing: text.Standing,
	}
	if old.Job.Ends > 0 {
		r.Until = time.UnixMilli(old.Job.Ends)
	}
	if users, _, err := p.Allowed(ctx, r, r.Users, nil); errors.Is(err, ErrNoUsers) || err == nil && len(users) == 0 {
		return false, nil // protected under the new name
	}
	_, err = p.Enqueue(ctx, r)
	return err == nil, err
}
