package acceptance

import (
	"slices"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// quietPhone is a phone number ID that the surviving worker knows nothing of.
const quietPhone = "106540352242999"

// TestRecoveryAfterKill kills one of two workers, with the default timeouts, while its calls for
// two phone number IDs are in flight. Of one of them the other worker has never heard: it was
// started after that job's wake-up message, and its task is the dead worker's until asynq takes it away.
func TestRecoveryAfterKill(t *testing.T) {
	t.Parallel()
	const hangs, goesOn = "+16502000001", "+16502000002"
	s := newSystem(t, simulator.Scenario{
		AppSecret: appSecret,
		Latency:   simulator.Latency{Base: simulator.Duration(50 * time.Millisecond)},
		Faults: []simulator.Fault{
			{Name: "hang", Effect: simulator.EffectHang, Users: []string{hangs}, Times: 2}, // once a phone number ID
		},
	})
	s.env = append(s.env, "WABLOCK_MAX_USERS_PER_CALL=50")
	p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
	if err != nil {
		t.Fatal(err)
	}
	enqueue := func(phone string, numbers ...string) tasks.Job {
		t.Helper()
		job, err := p.Block(t.Context(), numbers, tasks.WithPhoneNumberID(phone))
		if err != nil {
			t.Fatal(err)
		}
		return job
	}
	one := s.worker("one")
	quiet := enqueue(quietPhone, hangs)
	busy := enqueue(phoneNumberID, hangs)
	s.eventually("both calls hang", 20*time.Second, func() bool { return s.inFlight(hangs) == 2 })
	s.worker("two")
	rest := enqueue(phoneNumberID, numbers(1000)[10:]...)
	one.kill()
	killed := time.Now()

	s.done(p, rest, 20*time.Second)
	t.Logf("the rest of the queue was done %v after the kill", time.Since(killed).Round(time.Millisecond))
	at := time.Now()
	next := enqueue(phoneNumberID, goesOn)
	s.done(p, next, 5*time.Second)
	t.Logf("a further job took %v", time.Since(at).Round(time.Millisecond))

	s.done(p, busy, time.Minute)
	t.Logf("the users of the phone number ID that the other worker knew were done %v after the kill", time.Since(killed).Round(time.Millisecond))
	s.done(p, quiet, time.Minute)
	took := time.Since(killed)
	t.Logf("those of the one that it did not know, after %v", took.Round(time.Millisecond))
	if took > 25*time.Second { // the claims end 35 s after they were made, which only a taking over comes before
		t.Errorf("it took %v", took)
	}
	s.noOverlaps()
}

// inFlight counts the calls that carry a user and have not ended.
func (s *system) inFlight(number string) int {
	s.t.Helper()
	n := 0
	for _, c := range s.journal() {
		if c.Ended == 0 && slices.ContainsFunc(c.Users, func(u simulator.CallUser) bool { return u.User == number }) {
			n++
		}
	}
	return n
}

// done waits until every user of a job has succeeded or is superseded.
func (s *system) done(p *tasks.Producer, job tasks.Job, within time.Duration) {
	s.t.Helper()
	s.eventually("a job is done", within, func() bool {
		progress, err := p.Progress(s.t.Context(), job.PhoneNumberID, job.Version, job.Users)
		return err == nil && progress.Pending == 0 && progress.DeadLettered == 0
	})
}

// TestRecoveryOfRedis kills Redis under workers that are at work, and under workers that have
// nothing to do, and measures from its first answer.
func TestRecoveryOfRedis(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{
		AppSecret: appSecret,
		Latency:   simulator.Latency{Base: simulator.Duration(50 * time.Millisecond)},
		Journal:   simulator.JournalLimits{Calls: 100_000, Users: 5_000_000},
	}, "--appendfsync", "always")
	s.env = append(s.env, "WABLOCK_MAX_USERS_PER_CALL=10")
	s.worker("one")
	s.worker("two")
	p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
	if err != nil {
		t.Fatal(err)
	}
	n := redistest.Rounds(t, 2000, 5000)
	all := numbers(n + 2)
	job, err := p.Block(t.Context(), all[:n])
	if err != nil {
		t.Fatal(err)
	}
	s.eventually("they are at work", 20*time.Second, func() bool { return len(s.journal()) > 20 })
	s.redis.Kill()
	<-time.After(4 * time.Second) // long enough for every pause between tries to have grown
	before := len(s.journal())
	s.restartRedis()
	answered := time.Now()
	s.eventually("a call is made", 30*time.Second, func() bool { return len(s.journal()) > before })
	s.within5s("at work again", answered)
	s.done(p, job, 2*time.Minute)

	for i, down := range []time.Duration{100 * time.Millisecond, 8 * time.Second} {
		s.redis.Kill()
		<-time.After(down)
		s.restartRedis()
		answered = time.Now()
		job, err = p.Block(t.Context(), all[n+i:n+i+1])
		if err != nil {
			t.Fatal(err)
		}
		s.done(p, job, 30*time.Second)
		s.within5s("idle workers carried out a job", answered)
		s.done(p, job, 10*time.Second)
	}
	if n, err := ledger.New(s.rdb, phoneNumberID).Backlog(t.Context()); err != nil || !n.Empty() {
		t.Errorf("%+v, %v", n, err)
	}
}

func (s *system) restartRedis() {
	s.t.Helper()
	if err := s.redis.Restart(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) within5s(what string, answered time.Time) {
	s.t.Helper()
	took := time.Since(answered)
	s.t.Logf("%s %v after Redis answered", what, took.Round(time.Millisecond))
	if took > 5*time.Second {
		s.t.Errorf("%s only after %v", what, took)
	}
}
