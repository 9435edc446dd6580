package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// TestScriptsAgainstTheLastRequest runs scripts of a month of simulated time: requests, delayed ones, timed blocks, cancels,
// undos, pauses, and calls whose workers die. Whatever the order, the last request decides of those that were not
// withdrawn, a timed block has ended when its time has come, and each job counts each of its users once.
func TestScriptsAgainstTheLastRequest(t *testing.T) {
	t.Parallel()
	scripts := redistest.Rounds(t, 40, 1000)
	for begun := 0; begun < scripts; {
		rapid.Check(t, func(rt *rapid.T) { // a hundred times
			if begun++; begun > scripts {
				return
			}
			rapid.SyncTest(rt, func(rt *rapid.T) {
				m := miniredis.NewMiniRedis()
				m.ClockTTL(true)
				rdb := redis.NewClient(&redis.Options{
					Addr:                     "127.0.0.1:6379", // no name to look up, which would leave the bubble
					Dialer:                   func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
					MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
				})
				defer m.Close()
				defer func() { _ = rdb.Close() }()
				s := &script{T: rt, f: setup(t, rdb), users: nums(2), asked: map[user.ID][]*part{}, blocked: map[user.ID]bool{}}
				s.run(rt.Context())
			})
		})
	}
}

// script is a run of one, and what is known of it from outside.
type script struct {
	*rapid.T
	f       *fixture
	users   []user.ID
	jobs    []*scripted
	asked   map[user.ID][]*part // by version
	blocked map[user.ID]bool    // on the list
	paused  ledger.Operation
	claims  int
	log     []string
}

// scripted is a job.
type scripted struct {
	id        string
	op        ledger.Operation
	version   ledger.Version
	due, ends time.Time
	users     []user.ID
}

// part holds what a job asks for one user.
type part struct {
	*scripted
	// A call may have carried out what is out. What is done has ended, or its block has: nothing withdraws it then.
	out, done, canceled bool
}

func (s *script) run(ctx context.Context) {
	left := ledger.DefaultJobRetention - time.Hour // the last request drops jobs older than that
	for range 20 {                                 // rapid makes what it counts small
		switch rapid.SampledFrom([]string{"ask", "ask", "ask", "pass", "pass", "serve", "crash", "cancel", "undo", "pause"}).Draw(s.T, "step") {
		case "ask":
			if len(s.jobs) < 6 { // more than what is kept of displaced requests
				s.ask(ctx)
			}
		case "pass":
			d := rapid.SampledFrom([]time.Duration{2 * time.Second, time.Minute, 2 * time.Hour, 26 * time.Hour, 6 * 24 * time.Hour}).Draw(s.T, "pass")
			d = min(d, left)
			left -= d
			<-time.After(d)
			s.note("%v pass", d)
		case "serve":
			s.serve(ctx, rapid.Bool().Draw(s.T, "workers look for what is due"))
		case "crash":
			s.crash(ctx)
		case "cancel":
			s.steer(ctx, false)
		case "undo":
			s.steer(ctx, true)
		case "pause":
			s.paused = rapid.SampledFrom([]ledger.Operation{"", ledger.Block, ledger.Unblock}).Draw(s.T, "paused")
			s.note("paused: %q", s.paused)
		}
	}
	s.paused = ""
	s.finish(ctx)
	<-time.After(40 * 24 * time.Hour) // whatever was put off, or ends
	s.finish(ctx)
	for _, j := range s.jobs {
		r, found, err := s.f.Ledger.JobByID(ctx, j.id)
		s.must(err)
		if !found || r.Counts.Ended() != len(j.users) || r.Accepted != len(j.users) {
			s.Fatalf("job %s of %d users: found %t, counts %+v\n%v", j.id, len(j.users), found, r.Counts, s.log)
		}
	}
}

func (s *script) must(err error) {
	if err != nil {
		s.Helper()
		s.Fatalf("%v\n%v", err, s.log)
	}
}

func (s *script) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("\n%s %s", time.Now().Format(time.DateTime), fmt.Sprintf(format, args...)))
}

func (s *script) ask(ctx context.Context) {
	j := &scripted{id: fmt.Sprint("job-", len(s.jobs)), op: rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Block, ledger.Unblock}).Draw(s.T, "op")}
	j.users = rapid.SliceOfNDistinct(rapid.SampledFrom(s.users), 1, 2, rapid.ID[user.ID]).Draw(s.T, "users")
	r := tasks.Request{Operation: j.op, Users: j.users, JobID: j.id}
	r.Delay = rapid.SampledFrom([]time.Duration{0, 0, 0, time.Hour, 3 * 24 * time.Hour}).Draw(s.T, "delay")
	if r.Delay > 0 {
		j.due = time.Now().Add(r.Delay)
	}
	if j.op == ledger.Block {
		if lasts := rapid.SampledFrom([]time.Duration{0, 10 * time.Second, 6 * time.Hour, 10 * 24 * time.Hour}).Draw(s.T, "lasts"); lasts > 0 {
			j.ends = time.Now().Add(r.Delay + lasts)
			r.Until = j.ends
		}
	}
	job, err := s.f.Producer.Enqueue(ctx, r)
	s.must(err)
	j.version = job.Version
	s.accepted(j)
}

func (s *script) accepted(j *scripted) {
	<-time.After(time.Millisecond) // versions are µs
	s.note("%s: %s of %v, due %v, ends %v, version %d", j.id, j.op, j.users, j.due, j.ends, j.version)
	s.jobs = append(s.jobs, j)
	for _, u := range j.users {
		s.asked[u] = append(s.asked[u], &part{scripted: j})
		slices.SortFunc(s.asked[u], func(a, b *part) int { return int(a.version - b.version) })
	}
}

// of returns what a version asks for a user, nil for the end of a block.
func (s *script) of(u user.ID, v ledger.Version) *part {
	for _, p := range s.asked[u] {
		if p.version == v {
			return p
		}
	}
	return nil
}

// entries returns where the users stand, and takes note of what nothing withdraws any more.
func (s *script) entries(ctx context.Context) map[user.ID]ledger.Entry {
	all, err := s.f.Ledger.Entries(ctx, s.users)
	s.must(err)
	byUser := map[user.ID]ledger.Entry{}
	for _, e := range all {
		byUser[e.User] = e
		if p := s.of(e.User, e.Version); p != nil && e.State.Ended() {
			p.done = true
		}
		if p := s.of(e.User, e.Version-1); p != nil && e.BlockEnded {
			p.done = true
		}
	}
	return byUser
}

// steer cancels or undoes a job.
func (s *script) steer(ctx context.Context, undo bool) {
	if len(s.jobs) == 0 {
		return
	}
	j := rapid.SampledFrom(s.jobs).Draw(s.T, "which")
	before := s.entries(ctx)
	undone := tasks.Undone{}
	var err error
	if undo {
		undone, err = s.f.Producer.Undo(ctx, j.id, tasks.UndoRequest{})
	} else {
		_, err = s.f.Producer.Cancel(ctx, j.id, false)
	}
	if !errors.Is(err, tasks.ErrJobEnded) && !errors.Is(err, tasks.ErrJobCanceled) && !errors.Is(err, tasks.ErrUndo) {
		s.must(err)
	}
	s.note("undo %t of %s: %v, %+v", undo, j.id, err, undone)
	r, _, err := s.f.Ledger.JobByID(ctx, j.id)
	s.must(err)
	for _, u := range j.users {
		if p := s.of(u, j.version); r.Counts.Flagged && !p.done {
			p.canceled = true
		}
	}
	if undone.UndoJobID == "" {
		return
	}
	r, _, err = s.f.Ledger.JobByID(ctx, undone.UndoJobID)
	s.must(err)
	by := &scripted{id: undone.UndoJobID, op: r.Operation, version: r.Version}
	for row, err := range s.f.Producer.JobUsers(ctx, by.id) {
		s.must(err)
		id, err := user.FromCanonical(row.Input)
		s.must(err)
		if e := before[id]; e.Version != j.version || e.State == ledger.Waiting && !s.of(id, j.version).out {
			s.Fatalf("the undo of %s names a user who was not changed by it, or was asked for since: %+v\n%v", j.id, e, s.log)
		}
		for _, p := range s.asked[id] {
			if p.version > j.version && p.version < by.version && !p.canceled {
				s.Fatalf("the undo of %s is newer than %s, which was asked for since\n%v", j.id, p.id, s.log)
			}
		}
		by.users = append(by.users, id)
	}
	s.accepted(by)
}

// look does what workers do by the clock: tasks that are due are marked, and blocks end.
func (s *script) look(ctx context.Context) {
	for _, q := range ledger.Queues() {
		due, err := s.f.Inspector.ListScheduledTasks(string(q), asynq.PageSize(100))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			continue
		}
		s.must(err)
		waiting, err := s.f.Inspector.ListPendingTasks(string(q), asynq.PageSize(100))
		s.must(err)
		for _, info := range append(due, waiting...) {
			if info.NextProcessAt.After(time.Now()) {
				continue
			}
			p, err := queues.Decode(info.Type, info.Payload)
			s.must(err)
			requests := make([]ledger.Request, len(p.Users))
			for i, u := range p.Users {
				requests[i] = ledger.Request{User: u, Operation: p.Operation, Queue: q, Version: p.Version, Job: p.Job()}
			}
			_, err = s.f.Ledger.Mark(ctx, requests)
			s.must(err)
		}
	}
	_, err := s.f.Ledger.EndBlocks(ctx, 100)
	s.must(err)
	s.entries(ctx)
}

// claim returns a call.
func (s *script) claim(ctx context.Context, most int) ledger.Claim {
	only := ledger.Operation("")
	switch s.paused {
	case ledger.Block:
		only = ledger.Unblock
	case ledger.Unblock:
		only = ledger.Block
	}
	s.claims++
	c, err := s.f.Ledger.Claim(ctx, ledger.ClaimOptions{ID: fmt.Sprintf("c-%d-%d", time.Now().UnixNano(), s.claims), Max: most, Timeout: 35 * time.Second, Only: only})
	s.must(err)
	for _, u := range c.Users {
		if p := s.of(u.User, u.Version); p != nil {
			p.out = true
		}
	}
	return c
}

// serve carries out what waits.
func (s *script) serve(ctx context.Context, look bool) (calls int) {
	if look {
		s.look(ctx)
	}
	for ; ; calls++ {
		c := s.claim(ctx, 10)
		if len(c.Users) == 0 {
			return calls
		}
		settlements := make([]ledger.Settlement, len(c.Users))
		for i, u := range c.Users {
			s.blocked[u.User] = c.Operation == ledger.Block
			settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, Effect: c.Operation}
		}
		s.note("%s of %+v", c.Operation, c.Users)
		_, err := s.f.Ledger.Settle(ctx, c.ID, settlements)
		s.must(err)
		s.entries(ctx)
	}
}

// crash lets a worker die in a call, which is carried out or not.
func (s *script) crash(ctx context.Context) {
	s.look(ctx)
	applied := rapid.Bool().Draw(s.T, "applied")
	c := s.claim(ctx, 2)
	for _, u := range c.Users {
		if applied {
			s.blocked[u.User] = c.Operation == ledger.Block
		}
	}
	s.note("a worker dies: %s of %+v, applied %t", c.Operation, c.Users, applied)
}

// finish lets all claims run out, carries out what waits, and checks the list.
func (s *script) finish(ctx context.Context) {
	for calls := 1; calls > 0; {
		<-time.After(time.Minute)
		calls = s.serve(ctx, true)
	}
	now, entries := time.Now(), s.entries(ctx)
	for _, u := range s.users {
		e, want := entries[u], s.want(u, now)
		if e.State != ledger.Unknown && (!e.State.Ended() || e.Busy) || !want[s.blocked[u]] {
			s.Fatalf("%v is blocked: %t, and may be %v: %+v\n%v", u, s.blocked[u], want, e, s.log)
		}
		if e.State == ledger.Succeeded && s.blocked[u] != (e.Operation == ledger.Block) {
			s.Fatalf("%v is blocked: %t; the ledger says %+v\n%v", u, s.blocked[u], e, s.log)
		}
	}
}

// want returns whether a user may be on the list: what was canceled when a call may have carried it out may hold or not.
func (s *script) want(u user.ID, now time.Time) map[bool]bool {
	may := map[bool]bool{false: true}
	for _, p := range s.asked[u] {
		if p.due.After(now) || p.canceled && !p.out {
			continue
		}
		if !p.canceled {
			clear(may)
		}
		may[p.op == ledger.Block && (p.ends.IsZero() || p.ends.After(now))] = true
	}
	return may
}
