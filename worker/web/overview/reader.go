package overview

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
)

// Config holds what a Reader reads from. Redis is required.
type Config struct {
	// Redis stays the caller's to close.
	Redis redis.UniversalClient
	// PhoneNumberIDs are those that are shown in any case; others are where a worker calls for them.
	PhoneNumberIDs []string
	// Limit shows the learnt rate limit of a phone number ID. Nil: none is shown.
	Limit func(ctx context.Context, workers []fleet.Worker, phoneNumberID string) (ratelimit.Snapshot, error)
	// Version is that of this program; it may be empty.
	Version string
}

// The bounds of what a Reader reads. What it costs Redis in a second does not depend on how many ask, and hardly on how
// many phone number IDs there are: the more, the longer an answer is used.
const (
	maxNumbers  = 300
	freshFor    = time.Second           // an answer is used at the least
	freshPerID  = 50 * time.Millisecond // and for each phone number ID
	slowlyEvery = 10                    // readings of which one also reads what changes slowly
	maxDead     = 10_000                // dead users that are counted by code, of all phone number IDs
	minDead     = 100                   // and of each at the least
	jobsEach    = 10                    // of a phone number ID
	jobsOf      = 20                    // phone number IDs whose jobs are read at a time; of more, in turn
	maxEvents   = 50
	recentRuns  = 20 // among which the last one that read the list is looked for
	timeout     = 5 * time.Second
	inFlight    = 8
)

// Reader reads Overviews. It is safe for concurrent use.
type Reader struct {
	cfg Config

	mu       sync.Mutex
	until    time.Time // of answer
	answer   Overview
	last     Overview // that Redis told
	slow     map[string]slowFacts
	readings int
}

// slowFacts are those that are read less often.
type slowFacts struct {
	dead    []ledger.DeadCode
	left    int
	planned int
	lastRun *reconcile.Record
	listed  *reconcile.Record
	pin     setRate
	cap     setRate
	jobs    []tasks.JobStatus
}

// setRate holds the event in which an operator set a rate.
type setRate struct {
	rate  float64
	event audit.Event
}

// of brings s up to date with the rate that is set, 0 for none.
func (s *setRate) of(ctx context.Context, rdb redis.UniversalClient, id string, action audit.Action, rate float64, anew bool) (err error) {
	if rate == 0 {
		*s = setRate{}
	} else if anew || s.rate != rate {
		s.rate = rate
		s.event, _, err = audit.Last(ctx, rdb, id, action)
	}
	return err
}

// NewReader returns a Reader that has read nothing.
func NewReader(cfg Config) *Reader { return &Reader{cfg: cfg} }

// Now returns how the system stands, as of a second ago or a little more. Where Redis does not answer, that is what
// stands first in it, and the rest is what was known last.
func (r *Reader) Now(ctx context.Context) Overview {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.answer
	}
	// The answer is shared: one that hangs up must not cancel the reading.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	f, err := r.read(ctx)
	if err != nil {
		r.answer = r.away(err)
	} else {
		r.last = Of(f)
		r.answer = r.last
	}
	r.until = time.Now().Add(freshFor + time.Duration(len(f.Numbers))*freshPerID)
	return r.answer
}

// away returns the last Overview with the notice that Redis does not answer. Texts hold no address of it.
func (r *Reader) away(err error) Overview {
	o := r.last
	if o.At.IsZero() {
		o = Of(Facts{Now: time.Now(), Version: r.cfg.Version, Silent: true})
		o.Attention = nil
	}
	text := "Redis does not answer"
	if !r.last.At.IsZero() {
		text += "; what stands here is of " + clock(r.last.At, time.Now())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		text += " (not within " + Span(timeout) + ")"
	}
	o.Attention = slices.Insert(slices.Clone(o.Attention), 0, Notice{
		Severity: Stopped, Cause: CauseRedis, Text: text + ". Work that was accepted is kept as Redis keeps its data.",
		Next: "Check Redis and WABLOCK_REDIS_URL with `wablock doctor`; workers go on by themselves when it is back.",
	})
	return o
}

func (r *Reader) read(ctx context.Context) (Facts, error) {
	f := Facts{Version: r.cfg.Version}
	var err error
	if f.Now, err = r.cfg.Redis.Time(ctx).Result(); err != nil {
		return f, err
	}
	if f.Workers, err = fleet.All(ctx, r.cfg.Redis); errors.Is(err, fleet.ErrFull) {
		f.Silent, err = true, nil
	}
	if err != nil {
		return f, err
	}
	ids, more := r.numbers(f.Workers)
	f.More, f.Numbers = more, make([]NumberFacts, len(ids))
	f.Memory = memory(ctx, r.cfg.Redis)
	if f.Pauses, err = pause.Of(ctx, r.cfg.Redis, ids...); err != nil {
		return f, err
	}
	if f.Events, err = audit.Changes(ctx, r.cfg.Redis, f.Now.Add(-time.Hour), maxEvents); err != nil {
		return f, err
	}
	series, err := figures.Read(ctx, r.cfg.Redis, time.Hour, ids...)
	if err != nil {
		return f, err
	}
	slowly := r.readings%slowlyEvery == 0 || len(r.slow) != len(ids)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	slow := make([]slowFacts, len(ids))
	var left atomic.Int64
	left.Store(maxDead)
	for i, id := range ids {
		g.Go(func() error {
			n := NumberFacts{ID: id, Series: series[i]}
			if err := r.number(ctx, f.Workers, &n); err != nil {
				return err
			}
			known, ok := r.slow[id] // only written below, when all have been read
			if !ok || slowly {
				if err := r.slowly(ctx, id, max(minDead, int(left.Load())), &known); err != nil {
					return err
				}
				for _, c := range known.dead {
					left.Add(-int64(c.Users))
				}
			}
			if !ok || r.inTurn(i, len(ids)) {
				var err error
				if known.jobs, err = r.jobs(ctx, id); err != nil {
					return err
				}
			}
			if err := errors.Join(
				known.pin.of(ctx, r.cfg.Redis, id, audit.Pin, n.Limit.Pinned, slowly), known.cap.of(ctx, r.cfg.Redis, id, audit.Cap, n.Limit.Capped, slowly),
			); err != nil {
				return err
			}
			slow[i] = known
			n.Dead, n.DeadLeft, n.Planned, n.Jobs = known.dead, known.left, known.planned, known.jobs
			n.LastRun, n.Listed, n.Pin, n.Cap = known.lastRun, known.listed, known.pin.event, known.cap.event
			f.Numbers[i] = n
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return f, err
	}
	r.readings++
	r.slow = make(map[string]slowFacts, len(ids))
	for i, id := range ids {
		r.slow[id] = slow[i]
	}
	return f, nil
}

// Refresh lets the next answer be read anew, as after a change.
func (r *Reader) Refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until, r.slow = time.Time{}, nil
}

// numbers returns the phone number IDs to look at, and how many are left out: those whose calls don't go come first, then
// those that workers call for, then those that are configured.
func (r *Reader) numbers(workers []fleet.Worker) (ids []string, more int) {
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, running := range []bool{false, true} {
		for _, w := range workers {
			for _, l := range w.Lanes {
				if (l.State == fleet.Running) == running {
					add(l.PhoneNumberID)
				}
			}
		}
	}
	for _, id := range r.cfg.PhoneNumberIDs {
		add(id)
	}
	more = max(0, len(ids)-maxNumbers)
	return ids[:len(ids)-more], more
}

func (r *Reader) number(ctx context.Context, workers []fleet.Worker, n *NumberFacts) (err error) {
	if n.Backlog, err = ledger.New(r.cfg.Redis, n.ID).Backlog(ctx); err != nil {
		return err
	}
	if r.cfg.Limit != nil {
		if n.Limit, err = r.cfg.Limit(ctx, workers, n.ID); err != nil {
			return err
		}
	}
	return nil
}

// inTurn reports whether this reading reads the jobs of the phone number ID at i of n.
func (r *Reader) inTurn(i, n int) bool {
	turns := (n + jobsOf - 1) / jobsOf
	return i%turns == r.readings%turns
}

func (r *Reader) jobs(ctx context.Context, id string) (jobs []tasks.JobStatus, err error) {
	p, err := tasks.NewProducer(r.cfg.Redis, tasks.ProducerConfig{PhoneNumberID: id})
	if err != nil {
		return nil, err
	}
	for j, err := range p.Jobs(ctx, tasks.JobsFilter{Limit: jobsEach}) {
		if err != nil {
			return nil, err
		}
		j.Reason, j.Reference = user.Scrub(j.Reason), user.Scrub(j.Reference)
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func (r *Reader) slowly(ctx context.Context, id string, dead int, s *slowFacts) (err error) {
	l := ledger.New(r.cfg.Redis, id)
	if s.dead, s.left, err = l.DeadByCode(ctx, dead); err != nil {
		return err
	}
	if s.planned, err = l.PlannedUsers(ctx); err != nil {
		return err
	}
	runs, err := reconcile.History(ctx, r.cfg.Redis, id, recentRuns)
	if err != nil {
		return err
	}
	s.lastRun, s.listed = nil, nil
	if len(runs) > 0 {
		s.lastRun = &runs[0]
	}
	if i := slices.IndexFunc(runs, reconcile.Record.Listed); i >= 0 {
		s.listed = &runs[i]
	}
	return nil
}

// memory returns what Redis uses of its memory, zero where it does not tell.
func memory(ctx context.Context, rdb redis.UniversalClient) Memory {
	text, err := rdb.Info(ctx, "memory").Result()
	if err != nil {
		return Memory{}
	}
	read := func(name string) int64 {
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64) // 0 for what can't be read
				return n
			}
		}
		return 0
	}
	return Memory{Used: read("used_memory"), Max: read("maxmemory")}
}
