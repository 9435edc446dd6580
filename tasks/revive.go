package tasks

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// reviving is one run that makes requests again which were refused because their users had not written.
type reviving struct {
	p             *Producer
	phoneNumberID string
	ledger        *ledger.Ledger
	wrote         map[user.ID]time.Time // who wrote, and when
}

// run returns how many users are asked for again.
func (r *reviving) run(ctx context.Context) (revived int, err error) {
	for chunk := range slices.Chunk(slices.SortedFunc(maps.Keys(r.wrote), user.Compare), ledger.MaxBatch) {
		n, err := r.batch(ctx, chunk)
		if revived += n; err != nil {
			return revived, err
		}
	}
	return revived, nil
}

// busyEvery is the time between two looks whether turns that others had are over, busyFor that after which it is given up: longer
// than the turn of a process that died.
const (
	busyEvery = 50 * time.Millisecond
	busyFor   = 6 * time.Second
)

var errBusy = errors.New("another process has the turn to ask for a user again, and does not end it")

// batch asks again for the users that may be revived. It takes its version before it reads the ledger, so that a request made
// meanwhile is newer and wins. Users whose turn another process has are polled until that one has asked again or its turn has
// expired: only then may a webhook be answered.
func (r *reviving) batch(ctx context.Context, users []user.ID) (revived int, err error) {
	v, err := r.p.RepeatVersion(ctx, r.phoneNumberID, nil)
	if err != nil {
		return 0, err
	}
	first := make(map[user.ID]ledger.Version, len(users)) // of the requests that were refused
	ctx, cancel := context.WithTimeoutCause(ctx, busyFor, errBusy)
	defer cancel()
	for {
		entries, err := r.entries(ctx, users)
		if err != nil {
			return revived, err
		}
		entries = slices.DeleteFunc(entries, func(e ledger.Entry) bool {
			if _, known := first[e.User]; !known {
				first[e.User] = e.Version
			}
			return first[e.User] != e.Version // the other process asked again, and was refused
		})
		n, busy, err := r.turns(ctx, entries, v)
		if revived += n; err != nil || len(busy) == 0 {
			return revived, err
		}
		users = busy
		select {
		case <-ctx.Done():
			return revived, context.Cause(ctx)
		case <-time.After(busyEvery):
		}
	}
}

// turns makes the requests of the entries again whose turns it gets, and returns the users whose turns are others'.
func (r *reviving) turns(ctx context.Context, entries []ledger.Entry, v ledger.Version) (revived int, busy []user.ID, err error) {
	if len(entries) == 0 {
		return 0, nil, nil
	}
	turns, err := heard.Take(ctx, r.p.rdb, r.phoneNumberID, idsOf(entries))
	if err != nil {
		return 0, nil, err
	}
	later := make(map[user.ID]bool)
	for i, e := range entries {
		if turns[i].Mine {
			later[e.User] = turns[i].In > 0
		} else {
			busy = append(busy, e.User)
		}
	}
	entries, err = r.unchanged(ctx, entries, slices.Collect(maps.Keys(later)))
	if err != nil {
		return 0, nil, err
	}
	groups := make(map[alike][]ledger.Entry)
	for _, e := range entries {
		g := alike{e.Operation, later[e.User], e.Job.Text}
		groups[g] = append(groups[g], e)
	}
	for g, entries := range groups {
		if err := r.group(ctx, g, entries, v); err != nil {
			return revived, nil, err
		}
		revived += len(entries)
	}
	return revived, busy, nil
}

// unchanged returns those of the entries whose turns were taken that are still to be asked for again: another process may have
// done that, and ended its turn, since they were read. It ends the turns of the others.
func (r *reviving) unchanged(ctx context.Context, entries []ledger.Entry, mine []user.ID) ([]ledger.Entry, error) {
	if len(mine) == 0 {
		return nil, nil
	}
	before := make(map[user.ID]ledger.Version, len(entries))
	for _, e := range entries {
		before[e.User] = e.Version
	}
	now, err := r.entries(ctx, mine)
	if err == nil {
		now = slices.DeleteFunc(now, func(e ledger.Entry) bool { return before[e.User] != e.Version })
		kept := idsOf(now)
		mine = slices.DeleteFunc(mine, func(u user.ID) bool { return slices.Contains(kept, u) })
	}
	if len(mine) > 0 {
		_ = heard.Drop(context.WithoutCancel(ctx), r.p.rdb, r.phoneNumberID, mine) // else they end by themselves
	}
	return now, err
}

// alike identifies the users that can share a job.
type alike struct {
	operation ledger.Operation
	later     bool   // they were asked for a moment ago
	text      string // digest of who asked first, and why
}

// entries returns those of the users whose requests are to be made again.
func (r *reviving) entries(ctx context.Context, users []user.ID) ([]ledger.Entry, error) {
	now, err := r.p.rdb.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	entries, err := r.ledger.Entries(ctx, users)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e ledger.Entry) bool { return !revivable(e, r.wrote[e.User], now) })
	newer, err := r.ledger.NewerNames(ctx, entries)
	if err != nil {
		return nil, err
	}
	planned, err := r.ledger.PlannedOf(ctx, idsOf(entries))
	if err != nil {
		return nil, err
	}
	var kept []ledger.Entry
	for i, e := range entries {
		waits := slices.ContainsFunc(planned[i], func(plan ledger.Planned) bool { return plan.Version > e.Version })
		if newer[i].User.IsZero() && !waits {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// revivable reports whether the request of an entry, whose user wrote at a time, is to be made again.
func revivable(e ledger.Entry, wrote, now time.Time) bool {
	if e.State != ledger.Dead || e.Failure == nil || e.Failure.Code != CodeWindow {
		return false
	}
	return heard.Refusal{At: e.SettledAt, Parked: e.Failure.Parked, Ends: milli(e.Job.Ends)}.Revivable(wrote, now)
}

// group makes a job of entries whose turns were taken. Who was asked for a moment ago is put off: such a job waits
// as any that is put off, and a newer request takes its place.
func (r *reviving) group(ctx context.Context, g alike, entries []ledger.Entry, v ledger.Version) error {
	ids := idsOf(entries)
	texts, err := r.ledger.Texts(ctx, []string{g.text})
	if err == nil {
		_, err = r.p.Repeat(ctx, r.request(g, texts[g.text], entries, v), endedOf(entries, texts[g.text].Standing))
	}
	if err != nil {
		_ = heard.Drop(context.WithoutCancel(ctx), r.p.rdb, r.phoneNumberID, ids) // else the turns end by themselves
		return err
	}
	in := time.Duration(0)
	if g.later {
		in = heard.Every
	}
	return heard.Done(ctx, r.p.rdb, r.phoneNumberID, in, ids)
}

// request returns what the entries are asked for by. The reason and reference of the first request stay.
func (r *reviving) request(g alike, first ledger.Text, entries []ledger.Entry, v ledger.Version) Request {
	for _, e := range entries {
		v = max(v, e.Version+1)
	}
	again := Request{
		Operation: g.operation, PhoneNumberID: r.phoneNumberID, Users: idsOf(entries), Queue: ledger.Interactive,
		Requester: heard.Requester, Reason: cmp.Or(first.Reason, heard.Reason), Reference: first.Reference, Unparked: true,
	}
	if again.checkText() != nil { // it holds the number of one who was not in the first request
		again.Reason, again.Reference = heard.Reason, ""
	}
	if g.later {
		again.Delay, again.AsOf = heard.Every, v.Time()
	} else {
		again.Version = v
	}
	return again
}

func idsOf(entries []ledger.Entry) []user.ID {
	ids := make([]user.ID, len(entries))
	for i, e := range entries {
		ids[i] = e.User
	}
	return ids
}

func endedOf(entries []ledger.Entry, standing bool) []Ended {
	all := make([]Ended, len(entries))
	for i, e := range entries {
		all[i] = Ended{User: e.User, Version: e.Version, Ends: e.Job.Ends, Standing: standing}
	}
	return all
}
