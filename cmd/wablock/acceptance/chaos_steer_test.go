package acceptance

import (
	"slices"
	"time"

	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
)

// chaosSteers are the pauses and protections of a run. Producers cancel, undo and time by themselves.
type chaosSteers struct {
	pauses      []history.Pause
	protections []history.Protection
}

// steerNote holds a note of a producer about an attempt to cancel or undo a job: at its beginning Began alone.
type steerNote struct {
	Undo, Answered, Nothing bool
	Began                   time.Time
	Canceled, Reversed      int
}

// opposite returns the operation that undoes op.
func opposite(op ledger.Operation) ledger.Operation {
	if op == ledger.Block {
		return ledger.Unblock
	}
	return ledger.Block
}

// steered takes an attempt to cancel or undo a job into the requests of its users. What undoes a request stands behind
// it, and before those that were made since: they win.
func (b *notebook) steered(phone string, n producerNote) {
	b.mu.Lock()
	defer b.mu.Unlock()
	undo := "undoes " + n.Job
	for u, requests := range b.requests {
		i := slices.IndexFunc(requests, func(r history.Request) bool { return r.JobID == n.Job })
		if u.PhoneNumberID != phone || i < 0 {
			continue
		}
		r, s := &requests[i], n.Steer
		if n.At.IsZero() {
			r.Steered = s.Began
			if s.Undo {
				b.requests[u] = slices.Insert(requests, i+1, history.Request{JobID: undo, Operation: opposite(n.Operation), Began: s.Began})
			}
			continue
		}
		users := b.jobs[n.Job].Count
		switch {
		case s.Nothing && !s.Undo:
			r.Steered = time.Time{}
		case s.Answered && s.Canceled == users && r.Ends.IsZero(): // an end withdraws too, and may call
			r.Withdrawn = n.At
		}
		if s.Answered {
			b.told[n.Job] = history.Request{Began: s.Began, Accepted: true, AcceptedAt: n.At, Version: ledger.Version(s.Canceled)}
		}
		if !s.Undo || !s.Answered {
			continue
		}
		switch s.Reversed {
		case 0:
			b.requests[u] = slices.Delete(requests, i+1, i+2)
		case users:
			requests[i+1].Accepted, requests[i+1].AcceptedAt, requests[i+1].Version = true, n.At, n.Version
		}
	}
}

// jobs returns all jobs that the ledger keeps.
func (c *chaos) jobs() []history.Job {
	c.t.Helper()
	users := map[string][]history.User{}
	for u, requests := range c.notes.requests {
		for _, r := range requests {
			key := u.PhoneNumberID + " " + r.JobID
			users[key] = append(users[key], u)
		}
	}
	var all []history.Job
	for _, phone := range []string{chaosPhone(0), chaosPhone(1)} {
		l := ledger.New(c.rdb, phone)
		for skip := 0; ; skip += ledger.MaxBatch {
			versions, err := l.JobVersions(c.t.Context(), skip, ledger.MaxBatch)
			if err != nil {
				c.t.Fatal(err)
			}
			if len(versions) == 0 {
				break
			}
			records, err := l.JobsOf(c.t.Context(), versions)
			if err != nil {
				c.t.Fatal(err)
			}
			for _, r := range records {
				j := history.Job{PhoneNumberID: phone, JobRecord: r, Users: users[phone+" "+r.ID], Told: -1}
				if told, ok := c.notes.told[r.ID]; ok && !c.losses.MayHold(told) {
					j.Told = int(told.Version)
				}
				all = append(all, j)
			}
		}
	}
	return all
}

// pauseCalls lets calls stand still for a time, which is longer than a call of before may take to begin: of one operation or
// both, of one phone number ID or, rarely, of all. It ends by itself or is ended.
func (c *chaos) pauseCalls(who int, long time.Duration) {
	q := pause.Request{PhoneNumberID: chaosPhone(who % 2), Reason: "chaos", For: chaosTimeout + time.Second + long}
	if who%8 == 7 {
		q.PhoneNumberID = ""
	}
	q.Operation = []ledger.Operation{ledger.Block, ledger.Unblock, ledger.Block, ""}[who/8%4]
	for _, p := range c.steers.pauses {
		if p.To.After(time.Now()) {
			return // one at a time, so that what is told of one holds
		}
	}
	began := time.Now()
	if _, err := pause.Set(c.t.Context(), c.rdb, q); err != nil {
		return // Redis is down or full; what was set nevertheless ends by itself
	}
	c.tally["paused"]++
	c.steers.pauses = append(c.steers.pauses, history.Pause{PhoneNumberID: q.PhoneNumberID, Operation: q.Operation, From: time.Now(), To: began.Add(q.For)})
	if who%3 > 0 {
		return
	}
	i := len(c.steers.pauses) - 1
	c.in(q.For-long/2, func() {
		c.steers.pauses[i].To = time.Now()
		_, _ = pause.Clear(c.t.Context(), c.rdb, q.PhoneNumberID, q.Operation)
	})
}

// resumeAll ends all pauses, also those that a step of the clock has made long.
func (c *chaos) resumeAll() {
	c.t.Helper()
	for i := range c.steers.pauses {
		if p := &c.steers.pauses[i]; p.To.After(time.Now()) {
			p.To = time.Now()
		}
	}
	for _, phone := range []string{"", chaosPhone(0), chaosPhone(1)} {
		if _, err := pause.Clear(c.t.Context(), c.rdb, phone, ""); err != nil {
			c.t.Fatal(err)
		}
	}
}

// protectFirst protects a few users of each producer for good.
func (c *chaos) protectFirst() {
	c.t.Helper()
	for p := range chaosProducers {
		for n := chaosFirst(p) + 3; n < chaosFirst(p)+chaosUsers; n += 20 {
			if !c.protectOne(chaosPhone(p), n) {
				c.t.Fatal("a user could not be protected")
			}
		}
	}
}

func (c *chaos) protectOne(phone string, n int) bool {
	c.t.Helper()
	id, err := user.FromCanonical(chaosNumber(n))
	if err != nil {
		c.t.Fatal(err)
	}
	err = protect.Add(c.t.Context(), c.rdb, phone, []user.ID{id}, "chaos", "")
	p := history.Protection{User: history.User{PhoneNumberID: phone, Number: chaosNumber(n)}, From: time.Now()}
	if err != nil {
		p.To = p.From // it may be protected, and is not promised to be
	}
	c.steers.protections = append(c.steers.protections, p)
	return err == nil
}

// protect protects a user for a time, while requests for it may wait.
func (c *chaos) protect(who int, long time.Duration) {
	producer := who % chaosProducers
	phone, n := chaosPhone(producer), chaosFirst(producer)+20*(who/16)+7
	u := history.User{PhoneNumberID: phone, Number: chaosNumber(n)}
	if slices.ContainsFunc(c.steers.protections, func(p history.Protection) bool { return p.User == u && p.To.IsZero() }) || !c.protectOne(phone, n) {
		return
	}
	c.tally["protected"]++
	i := len(c.steers.protections) - 1
	c.in(chaosTimeout+time.Second+long, func() {
		c.steers.protections[i].To = time.Now()
		id, err := user.FromCanonical(u.Number)
		if err != nil {
			c.t.Fatal(err)
		}
		_, _ = protect.Remove(c.t.Context(), c.rdb, phone, []user.ID{id}) // else it stays protected, unpromised
	})
}
