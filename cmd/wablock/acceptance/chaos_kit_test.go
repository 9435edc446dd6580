package acceptance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/acceptance/faultproxy"
	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
	"github.com/wablock/wablock/tasks/ledger"
)

// chaos is a system whose processes reach Redis through proxies, and what is known of its run.
type chaos struct {
	*system
	rng       *rand.Rand
	loadgen   string
	workers   []*victim
	producers []*victim
	agenda    []appointment
	tally     tally
	settled   time.Duration
	redisDown bool
	clock     *clock // of Redis

	stops  []history.Stop
	losses history.Losses
	notes  notebook
	steers chaosSteers
}

// victim is a process that is started again whenever it has ended, with its proxy to Redis.
type victim struct {
	name    string
	proxy   *faultproxy.Proxy
	api     *faultproxy.Proxy // of a worker: to the API
	process *process
	start   func() *process
	notes   chan struct{} // of a producer: closed when its last note has been read
	stopped time.Time     // since when it is under SIGSTOP; zero for not
	down    bool          // it is not to be started yet
	expect  bool          // its end is our doing
}

// appointment is something to be done, or undone, at a time.
type appointment struct {
	at time.Time
	do func()
}

// tally counts faults by kind.
type tally map[string]int

func (t tally) String() string {
	var b strings.Builder
	for _, what := range sortedKeys(t) {
		_, _ = fmt.Fprintf(&b, "%s %d, ", what, t[what])
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// newChaos starts everything, behind proxies. Redis writes before it answers, so that what it
// accepted outlives its being killed at any moment. WABLOCK_CHAOS_APPENDFSYNC=everysec shows
// what a usual Redis keeps, and =off, with no file at all, that the check notices a loss.
func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	args := []string{"--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"}
	switch mode := os.Getenv("WABLOCK_CHAOS_APPENDFSYNC"); mode {
	case "":
	case "off":
		args = []string{"--appendonly", "no"}
	default:
		args[1] = mode
	}
	s := newSystem(t, chaosScenario(false), args...)
	s.env = append(s.env, "WABLOCK_REQUEST_TIMEOUT="+chaosTimeout.String(), "WABLOCK_RATE=200", "WABLOCK_BURST=50",
		"WABLOCK_SHUTDOWN_TIMEOUT=3s", "WABLOCK_LOG_LEVEL=warn")
	c := &chaos{system: s, rng: rand.New(rand.NewPCG(seed, 1)), tally: tally{}, clock: newClock(t)}
	s.redis.Kill()
	s.redis.Env = c.clock.env
	if err := s.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.loadgen = filepath.Join(t.TempDir(), "loadgen")
	if out, err := exec.Command("go", "build", "-o", c.loadgen, "./loadgen").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	c.protectFirst()
	for n := range chaosWorkers {
		c.addWorker(n)
	}
	for n := range chaosProducers {
		c.addProducer(n, seed)
	}
	return c
}

func (c *chaos) proxied(name string) (*victim, string) {
	c.t.Helper()
	p, err := faultproxy.Listen(c.redis.Addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(p.Close)
	return &victim{name: name, proxy: p}, "redis://" + p.Addr() + "/0"
}

func (c *chaos) addWorker(n int) {
	v, url := c.proxied(fmt.Sprintf("worker %d", n))
	api, graph := c.proxiedAPI()
	v.api = api
	v.start = func() *process {
		old := c.env
		c.env = append(append([]string(nil), c.env...), "WABLOCK_REDIS_URL="+url, "WABLOCK_GRAPH_URL="+graph)
		defer func() { c.env = old }()
		return c.system.start(v.name, "worker")
	}
	c.workers = append(c.workers, v)
	v.process = v.start()
}

func (c *chaos) addProducer(n int, seed uint64) {
	v, url := c.proxied(fmt.Sprintf("producer %d", n))
	starts := uint64(0)
	v.start = func() *process {
		starts++
		p := &process{t: c.t, name: v.name, log: &lockedBuffer{}, exited: make(chan struct{})}
		p.cmd = exec.Command(c.loadgen,
			"-redis", url, "-phone-number-id", chaosPhone(n), "-seed", fmt.Sprint(seed*1000+uint64(n)*100+starts),
			"-first", fmt.Sprint(chaosFirst(n)), "-users", fmt.Sprint(chaosUsers),
			"-bulk-first", fmt.Sprint(chaosFirst(n)+1000), "-bulk-users", fmt.Sprint(chaosBulk))
		p.cmd.Stderr = io.MultiWriter(p.log, c.logs)
		in, err := p.cmd.StdinPipe() // its end tells the producer to stop
		if err != nil {
			c.t.Fatal(err)
		}
		out, err := p.cmd.StdoutPipe()
		if err != nil {
			c.t.Fatal(err)
		}
		if err := p.cmd.Start(); err != nil {
			c.t.Fatal(err)
		}
		read := make(chan struct{})
		v.notes = read
		go func() {
			c.notes.read(chaosPhone(n), out)
			close(read)
			_ = p.cmd.Wait()
			_ = in.Close()
			close(p.exited)
		}()
		c.t.Cleanup(p.kill)
		return p
	}
	c.producers = append(c.producers, v)
	v.process = v.start()
}

// notebook gathers what producers note.
type notebook struct {
	mu       sync.Mutex
	requests map[history.User][]history.Request
	jobs     map[string]producerNote
	told     map[string]history.Request // answers of cancels: the number of users in place of the version
	failed   map[string]int             // why requests were not accepted
	repeats  []producerNote             // of jobs that still ran
}

type producerNote struct {
	Job          string
	Operation    ledger.Operation
	First, Count int
	At           time.Time
	Accepted     bool
	Version      ledger.Version
	Error        string
	// Of a repeat of a job that still ran: the version that it had, and when it was accepted.
	Was   ledger.Version
	Since time.Time
	Ends  time.Time
	Steer *steerNote
}

// read reads one producer's notes to their end. A request whose end is not noted is ambiguous.
func (b *notebook) read(phone string, r io.Reader) {
	lines := bufio.NewScanner(r)
	var begun producerNote
	for lines.Scan() {
		var n producerNote
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			return // cut by a kill
		}
		if n.Was != 0 {
			b.repeated(n)
			continue
		}
		if n.Steer != nil {
			b.steered(phone, n)
			continue
		}
		if n.Operation != "" {
			b.begin(phone, n)
			begun = n
			continue
		}
		if n.Accepted {
			b.accept(phone, begun, n)
		} else {
			b.fail(n.Error)
		}
	}
}

func (b *notebook) begin(phone string, n producerNote) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests == nil {
		b.requests, b.jobs, b.told = map[history.User][]history.Request{}, map[string]producerNote{}, map[string]history.Request{}
	}
	b.jobs[n.Job] = n
	for i := range n.Count {
		u := history.User{PhoneNumberID: phone, Number: chaosNumber(n.First + i)}
		b.requests[u] = append(b.requests[u], history.Request{JobID: n.Job, Operation: n.Operation, Began: n.At, Ends: n.Ends})
	}
}

func (b *notebook) accept(phone string, n, end producerNote) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n.Count {
		all := b.requests[history.User{PhoneNumberID: phone, Number: chaosNumber(n.First + i)}]
		last := &all[len(all)-1]
		last.Accepted, last.Version, last.AcceptedAt = true, end.Version, end.At
	}
}

func (b *notebook) repeated(n producerNote) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.repeats = append(b.repeats, n)
}

func (b *notebook) fail(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = map[string]int{}
	}
	if _, reason, ok := strings.Cut(why, "is safe: "); ok {
		why = reason
	}
	b.failed[why]++
}

// setScenario changes the simulated API.
func (s *system) setScenario(sc simulator.Scenario) {
	s.t.Helper()
	s.send(http.MethodPut, "/_simulator/scenario", sc)
}

// snapshot returns the WhatsApp IDs on the list of a phone number ID.
func (c *chaos) snapshot(phone string) []string {
	c.t.Helper()
	var all []struct {
		WaIDs []string `json:"wa_ids"`
	}
	if err := json.Unmarshal(c.get("/_simulator/snapshot?phone_number_id="+phone), &all); err != nil {
		c.t.Fatal(err)
	}
	return all[0].WaIDs
}
