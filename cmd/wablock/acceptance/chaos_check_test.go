package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// calm ends all faults and all producers, and waits until every user has ended.
func (c *chaos) calm() {
	c.startRedis()
	c.limitRedis("0")
	c.resumeAll()
	if c.clock.offset != 0 {
		c.clock.set(0)
	}
	c.agenda = nil
	c.setScenario(chaosScenario(false))
	for _, v := range slices.Concat(c.workers, c.producers) {
		v.proxy.Release()
		if v.api != nil {
			v.api.Release()
		}
		v.proxy.Delay(0)
		v.proxy.LoseReplies(0)
		c.goOn(v)
		v.down, v.expect = false, true
	}
	for _, v := range c.producers {
		v.process.kill()
		<-v.notes
	}
	start := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		c.keepAppointments(time.Now())
		c.revive(c.workers) // one may have been told to end just before the calm
		c.settled = time.Since(start)
		if len(c.open()) == 0 || c.settled > chaosSettle {
			return // if it was too long, the history tells who has no end
		}
	}
}

// open returns the users that have not ended, whose accepted request the ledger does not have yet, or whose dead letters
// are those of before a failover.
func (c *chaos) open() []history.User {
	var open []history.User
	entries := c.entries()
	for _, u := range c.dead() {
		if entries[u].State == ledger.Succeeded {
			open = append(open, u)
		}
	}
	for u, requests := range c.notes.requests {
		e := entries[u]
		last, _ := c.losses.Last(requests)
		if e.Busy || e.State != ledger.Unknown && !e.State.Ended() || e.Version < last.Version || e.Job.Ends > 0 {
			open = append(open, u)
		}
	}
	return open
}

func (c *chaos) entries() map[history.User]ledger.Entry {
	c.t.Helper()
	byPhone := map[string][]user.ID{}
	for u := range c.notes.requests {
		id, err := user.FromCanonical(u.Number)
		if err != nil {
			c.t.Fatal(err)
		}
		byPhone[u.PhoneNumberID] = append(byPhone[u.PhoneNumberID], id)
	}
	all := map[history.User]ledger.Entry{}
	for phone, ids := range byPhone {
		l := ledger.New(c.rdb, phone)
		for part := range slices.Chunk(ids, ledger.MaxBatch) {
			entries, err := l.Entries(c.t.Context(), part)
			if err != nil {
				c.t.Fatal(err)
			}
			for _, e := range entries {
				all[history.User{PhoneNumberID: phone, Number: e.User.Reveal()}] = e
			}
		}
	}
	return all
}

// history is all that is known of the run.
func (c *chaos) history() history.Run {
	c.t.Helper()
	r := history.Run{
		Requests: c.notes.requests, Calls: withoutWriters(c.journal()), Entries: c.entries(), Lists: map[string][]string{},
		Doomed: map[history.User]bool{}, Stops: c.stops, Grace: chaosTimeout + time.Second, Losses: c.losses,
		Dead: c.dead(), Jobs: c.jobs(), Pauses: c.steers.pauses, Protections: c.steers.protections,
	}
	for p := range chaosProducers {
		r.Lists[chaosPhone(p)] = c.snapshot(chaosPhone(p))
		for n := chaosFirst(p); n < chaosFirst(p)+chaosUsers; n += 10 {
			r.Doomed[history.User{PhoneNumberID: chaosPhone(p), Number: chaosNumber(n)}] = true
		}
	}
	return r
}

// dead returns the users in the dead-letter queue, without writers.
func (c *chaos) dead() (dead []history.User) {
	c.t.Helper()
	for e, err := range deadletter.New(c.rdb).All(c.t.Context(), deadletter.Filter{}) {
		switch {
		case err != nil:
			c.t.Fatal(err)
		case e.Malformed != nil:
			c.t.Errorf("a malformed task: %s", e.Malformed.Reason)
		case !isWriter(e.User.Reveal()):
			dead = append(dead, history.User{PhoneNumberID: e.PhoneNumberID, Number: e.User.Reveal()})
		}
	}
	return dead
}

// story prints all that is known of one user, to find out what happened.
func (c *chaos) story(u history.User) string {
	type event struct {
		at   time.Time
		what string
	}
	var events []event
	for _, r := range c.notes.requests[u] {
		events = append(events, event{r.Began, fmt.Sprintf("%s asked for, accepted %v at version %d, job %s", r.Operation, r.Accepted, r.Version, r.JobID)})
		if !r.Ends.IsZero() {
			events = append(events, event{r.Ends, fmt.Sprintf("the block of version %d ends", r.Version)})
		}
		if !r.Steered.IsZero() {
			events = append(events, event{r.Steered, fmt.Sprintf("job %s is canceled; version %d was withdrawn at %s", r.JobID, r.Version, r.Withdrawn.Format(time.StampMilli))})
		}
		if r.Accepted {
			events = append(events, event{r.AcceptedAt, fmt.Sprintf("version %d was accepted; it may be lost: %v", r.Version, c.losses.MayHold(r))})
		}
	}
	for _, call := range c.journal() {
		if i := slices.IndexFunc(call.Users, func(cu simulator.CallUser) bool { return cu.User == u.Number }); i >= 0 && call.PhoneNumberID == u.PhoneNumberID {
			events = append(events, event{call.Begin, fmt.Sprintf("call %d: %s of %d users: %s %s, took %v", call.Seq, call.Operation, len(call.Users), call.Users[i].Outcome, call.Fault, call.End.Sub(call.Begin))})
		}
	}
	for _, s := range c.stops {
		events = append(events, event{s.From, fmt.Sprintf("a worker stood still, or Redis's clock was wrong, until %s", s.To.Format(time.StampMilli))})
	}
	for _, l := range c.losses {
		events = append(events, event{l.From, fmt.Sprintf("Redis has lost what was written until %s", l.To.Format(time.StampMilli))})
	}
	slices.SortFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, e := range events[max(0, len(events)-100):] {
		_, _ = fmt.Fprintf(&b, "  %s %s\n", e.at.Local().Format(time.StampMilli), e.what)
	}
	_, _ = fmt.Fprintf(&b, "  ledger: %+v\n", c.entries()[u])
	return b.String()
}

// repeatsKeepTheirVersion: a job that is repeated while it runs is the same job, unless Redis's clock made
// its retention run out.
func (c *chaos) repeatsKeepTheirVersion() {
	c.t.Helper()
	for _, n := range c.notes.repeats {
		stepped := func(s history.Stop) bool { return s.From.Before(n.At) && s.To.After(n.Since) }
		lost := func(l history.Loss) bool { return l.From.Before(n.At) && l.To.After(n.Since) }
		if n.Version != n.Was && !slices.ContainsFunc(c.stops, stepped) && !slices.ContainsFunc(c.losses, lost) {
			c.t.Errorf("job %s was repeated while it ran: version %d, which was %d", n.Job, n.Version, n.Was)
		}
	}
}

// noPanics looks for what no process may say.
func (c *chaos) noPanics() {
	c.t.Helper()
	for line := range strings.Lines(c.logs.String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "fatal error") || strings.Contains(line, "DATA RACE") {
			c.t.Errorf("a process said: %s", line)
		}
	}
	if n := ourNumbers.FindString(c.logs.String()); n != "" {
		c.t.Errorf("a log shows the number %s", n)
	}
}
