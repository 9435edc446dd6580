package learnbench

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/wablock/wablock/client/simulator/quota"
)

// strategy decides when each worker process may call. Times are since the start of the run.
type strategy interface {
	// take asks for one call; when not ok, wait is how long until it makes sense to ask again.
	take(process int, now time.Duration) (p permit, ok bool, wait time.Duration)
	// report takes the outcome; stated is the wait that the API named with a refusal, 0 when it named none.
	report(process int, now time.Duration, p permit, limited bool, stated time.Duration)
}

// permit allows a call of so many users.
type permit struct {
	users int
	more  any
}

// world is one run: worker processes with an endless backlog, and an API whose limit they do not know.
type world struct {
	processes int
	inFlight  int // calls in flight per process, at most
	latency   time.Duration
	length    time.Duration
	quota     quota.Quota
	changes   []change
	calls     int  // that make up the job; 0 for an endless backlog
	states    bool // refusals name the time until a call would pass
	seed      uint64
}

// change happens to the API at a time.
type change struct {
	at    time.Duration
	limit float64 // from then on
	apply func(now time.Time)
}

// call is one line of the journal.
type call struct {
	sent    time.Duration // when it left the worker
	at      time.Duration // when it reached the API
	told    time.Duration // when the worker had the answer
	users   int
	allowed bool
	stated  time.Duration // wait named with a refusal
}

// epochStart is the beginning of simulated time: a whole minute, as fixed windows start there.
var epochStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run plays the world to its end and returns every call in the order of arrival.
func (w world) run(s strategy) []call {
	r := &runner{world: w, strategy: s, rng: rand.New(rand.NewPCG(w.seed, 1)), flying: make([]int, w.processes), asleep: make([]bool, w.processes)}
	for _, c := range w.changes {
		r.after(c.at, func() { c.apply(epochStart.Add(c.at)) })
	}
	for p := range w.processes {
		// Processes do not start in the same instant.
		r.after(time.Duration(r.rng.Int64N(int64(100*time.Millisecond))), func() { r.lane(p) })
	}
	for r.events.Len() > 0 {
		e := heap.Pop(&r.events).(event)
		if e.at > w.length {
			break
		}
		r.now = e.at
		e.do()
	}
	return r.journal
}

type runner struct {
	world
	strategy strategy
	rng      *rand.Rand
	now      time.Duration
	events   events
	order    int
	flying   []int
	asleep   []bool // the lane has a wake-up coming
	journal  []call
	sent     int // calls that are served or in flight
}

// lane does what a worker does for one phone number ID: take, send without waiting for the answer, take again.
func (r *runner) lane(p int) {
	for r.flying[p] < r.inFlight && !r.asleep[p] && (r.calls == 0 || r.sent < r.calls) {
		permit, ok, wait := r.strategy.take(p, r.now)
		if !ok {
			r.asleep[p] = true
			r.after(max(wait, time.Microsecond)+r.hiccup(), func() { r.asleep[p] = false; r.lane(p) })
			return
		}
		r.send(p, permit)
	}
}

func (r *runner) send(p int, permit permit) {
	r.flying[p]++
	r.sent++
	sent := r.now
	// One way takes half the latency, give or take a fifth.
	there := time.Duration(float64(r.latency) / 2 * (0.8 + 0.4*r.rng.Float64()))
	back := time.Duration(float64(r.latency) / 2 * (0.8 + 0.4*r.rng.Float64()))
	r.after(there, func() {
		c := call{sent: sent, at: r.now, told: r.now + back, users: permit.users}
		now := epochStart.Add(r.now)
		if c.allowed = r.quota.Allow(now, permit.users); !c.allowed && r.states {
			c.stated = r.quota.Wait(now)
		}
		r.journal = append(r.journal, c)
		r.after(back, func() {
			r.flying[p]--
			if !c.allowed {
				r.sent--
			}
			r.strategy.report(p, r.now, permit, !c.allowed, c.stated)
			r.lane(p)
		})
	})
}

// hiccup returns the delay of a timer.
func (r *runner) hiccup() time.Duration { return time.Duration(r.rng.Int64N(int64(time.Millisecond))) }

func (r *runner) after(d time.Duration, do func()) {
	r.order++
	heap.Push(&r.events, event{at: r.now + d, order: r.order, do: do})
}

type event struct {
	at    time.Duration
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
