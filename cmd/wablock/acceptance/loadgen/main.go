// Loadgen is a producer for tests: it asks for blocks and unblocks at random until its standard
// input ends, and notes on standard output what it asks for and what it is told, one line of
// JSON each, before and after. It may be killed at any time; what it had begun is then unknown.
package main

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// note is one line of output.
type note struct {
	Job       string           `json:"job"`
	Operation ledger.Operation `json:"operation,omitempty"` // of the beginning
	First     int              `json:"first,omitempty"`     // the users are Count from this one on
	Count     int              `json:"count,omitempty"`
	At        time.Time        `json:"at,omitzero"`
	Accepted  bool             `json:"accepted,omitempty"` // of the end
	Version   ledger.Version   `json:"version,omitempty"`
	Error     string           `json:"error,omitempty"`

	// Of a repeat of a job that still ran: the version that it had, and when it was accepted.
	Was   ledger.Version `json:"was,omitempty"`
	Since time.Time      `json:"since,omitzero"`

	Ends  time.Time `json:"ends,omitzero"` // of a timed block
	Steer *steering `json:"steer,omitempty"`
}

// settings are the flags.
type settings struct {
	redis, phoneNumberID string
	seed                 uint64
	first, users         int
	bulkFirst, bulkUsers int
	pause                time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.redis, "redis", "", "Redis URL")
	flag.StringVar(&s.phoneNumberID, "phone-number-id", "", "whose list")
	flag.Uint64Var(&s.seed, "seed", 1, "of every choice")
	flag.IntVar(&s.first, "first", 1, "the first user's number")
	flag.IntVar(&s.users, "users", 100, "how many users to choose from")
	flag.IntVar(&s.bulkFirst, "bulk-first", 1, "the first user of bulk jobs, which are users of their own")
	flag.IntVar(&s.bulkUsers, "bulk-users", 0, "how many users a bulk job has, 0 for no bulk jobs")
	flag.DurationVar(&s.pause, "pause", 20*time.Millisecond, "between two requests, on average")
	flag.Parse()
	if err := run(s, os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

// number is the n-th of the made-up numbers.
func number(n int) string { return fmt.Sprintf("+1650%07d", 2000000+n) }

func run(s settings, in io.Reader, out io.Writer) error {
	url, err := config.ParseRedis(s.redis)
	if err != nil {
		return err
	}
	rdb := url.Client()
	defer func() { _ = rdb.Close() }()
	p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: s.phoneNumberID})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(in))
		stop()
	}()
	g := &generator{settings: s, producer: p, ledger: ledger.New(rdb, s.phoneNumberID), out: json.NewEncoder(out), rng: rand.New(rand.NewPCG(s.seed, 0))}
	for ctx.Err() == nil {
		if err := g.ask(ctx); err != nil {
			return err
		}
		if err := g.repeat(ctx); err != nil {
			return err
		}
		if err := g.steer(ctx); err != nil {
			return err
		}
		g.sleep(ctx, 2*s.pause)
	}
	return nil
}

type generator struct {
	settings
	producer *tasks.Producer
	ledger   *ledger.Ledger
	out      *json.Encoder
	rng      *rand.Rand
	running  *note // the last job of several tasks that was accepted
	since    time.Time
	accepted []note // the last of them, to cancel or undo
}

// retention is short, so that the first tasks of a job are forgotten while the others still run.
const retention = 2 * time.Second

// ask makes one request, and repeats it a few times under its job ID when it fails.
func (g *generator) ask(ctx context.Context) error {
	begin := note{Job: crand.Text(), Operation: ledger.Block, At: time.Now()}
	if g.rng.IntN(2) == 0 {
		begin.Operation = ledger.Unblock
	}
	if g.bulkUsers > 0 && g.rng.IntN(60) == 0 {
		begin.First, begin.Count = g.bulkFirst, g.bulkUsers
	} else {
		begin.Count = 1 + g.rng.IntN(4)
		begin.First = g.first + g.rng.IntN(g.users-begin.Count)
	}
	if begin.Operation == ledger.Block && begin.Count < g.bulkUsers && g.rng.IntN(8) == 0 {
		begin.Ends = time.Now().Add(time.Second + time.Duration(g.rng.Int64N(int64(3*time.Second)))).Truncate(time.Millisecond)
	}
	if err := g.out.Encode(begin); err != nil {
		return err
	}
	end := note{Job: begin.Job}
	for tries := 1 + g.rng.IntN(5); tries > 0; tries-- {
		job, err := g.enqueue(ctx, begin)
		if err == nil {
			end.Accepted, end.Version, end.Error, end.At = true, job.Version, "", time.Now()
			g.accepted = append(g.accepted[max(0, len(g.accepted)-9):], begin)
			if begin.Count == g.bulkUsers {
				begin.Version = job.Version
				g.running, g.since = &begin, time.Now()
			}
			break
		}
		if errors.Is(err, tasks.ErrNoUsers) {
			return err
		}
		end.Error = err.Error()
		g.sleep(ctx, 400*time.Millisecond)
	}
	return g.out.Encode(end)
}

func (g *generator) enqueue(ctx context.Context, n note) (tasks.Job, error) {
	users := make([]user.ID, n.Count)
	for i := range users {
		var err error
		if users[i], err = user.FromCanonical(number(n.First + i)); err != nil {
			return tasks.Job{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return g.producer.Enqueue(ctx, tasks.Request{Operation: n.Operation, Users: users, JobID: n.Job, Retention: retention, Until: n.Ends})
}

// repeat sometimes repeats the last job of several tasks under its job ID, if it is seen to run still, and
// notes the versions.
func (g *generator) repeat(ctx context.Context) error {
	if g.running == nil || g.rng.IntN(20) > 0 {
		return nil
	}
	n := *g.running
	seen := time.Now()
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, err := g.producer.Tasks(short, n.Job)
	if err != nil {
		return nil //nolint:nilerr // with Redis down, or the job long gone, it is not known to run
	}
	if status.Pending == 0 {
		g.running = nil
		return nil
	}
	job, err := g.enqueue(ctx, n)
	if err != nil || time.Since(seen) > retention {
		return nil //nolint:nilerr // it may have ended meanwhile, and been forgotten
	}
	return g.out.Encode(note{Job: n.Job, Was: n.Version, Version: job.Version, At: time.Now(), Since: g.since})
}

// sleep waits for up to d.
func (g *generator) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(time.Duration(g.rng.Int64N(int64(d) + 1)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// steer sometimes cancels or undoes one of the last jobs, and notes it before and after.
func (g *generator) steer(ctx context.Context) error {
	if len(g.accepted) == 0 || g.rng.IntN(5) > 0 {
		return nil
	}
	i := g.rng.IntN(len(g.accepted))
	if g.rng.IntN(2) == 0 {
		i = len(g.accepted) - 1
	}
	of := g.accepted[i]
	g.accepted = append(g.accepted[:i:i], g.accepted[i+1:]...)
	n := note{Job: of.Job, Operation: of.Operation, Steer: &steering{Undo: g.rng.IntN(3) == 0, Began: time.Now()}}
	if err := g.out.Encode(n); err != nil {
		return err
	}
	if g.running != nil && g.running.Job == of.Job {
		g.running = nil // it is not repeated
	}
	short, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer done()
	if n.Steer.Undo {
		g.undo(short, &n)
	} else {
		c, err := g.producer.Cancel(short, of.Job, false)
		n.Steer.Answered, n.Steer.Nothing, n.Steer.Canceled = err == nil, errors.Is(err, tasks.ErrJobEnded), c.Canceled
	}
	n.At = time.Now()
	return g.out.Encode(n)
}

func (g *generator) undo(ctx context.Context, n *note) {
	u, err := g.producer.Undo(ctx, n.Job, tasks.UndoRequest{})
	if err != nil {
		return
	}
	if u.UndoJobID != "" { // its version is known to the ledger alone
		j, found, err := g.ledger.JobByID(ctx, u.UndoJobID)
		if err != nil || !found {
			return
		}
		n.Version = j.Version
	}
	n.Steer.Answered, n.Steer.Canceled, n.Steer.Reversed = true, u.Canceled, u.Reversed
}
