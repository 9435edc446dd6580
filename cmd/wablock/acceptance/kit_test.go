package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/redistest"
)

const (
	phoneNumberID = "106540352242922"
	accessToken   = "EAAJBtopsecret1234567890"
	appSecret     = "apptopsecret0987654321"
)

// binary is the program under test, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "wablock-acceptance")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "wablock")
	// go test takes its last result for good unless it sees that what was looked at has changed.
	err = filepath.WalkDir("../../..", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".lua")) {
			_, err = os.Stat(name)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", path, "github.com/wablock/wablock/cmd/wablock").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

// parallel is the number of tests that run at once, unless -parallel says otherwise: they wait for other processes most of the time.
const parallel = 6

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOMAXPROCS(0) < parallel && flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", strconv.Itoa(parallel))
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is one running wablock.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	out    *bufio.Reader
	log    *lockedBuffer
	exited chan struct{}
}

// lockedBuffer collects what processes print.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// system is a Redis, a simulated API, and the environment that leads to them.
type system struct {
	t     testing.TB
	redis *redistest.Server
	rdb   redis.UniversalClient
	api   *process
	url   string // of the API
	env   []string
	logs  *lockedBuffer // of all processes
}

// newSystem starts a real Redis, with further arguments if given, and `wablock simulator` with a
// scenario.
func newSystem(t testing.TB, sc simulator.Scenario, redisArgs ...string) *system {
	t.Helper()
	server := redistest.Start(t, redisArgs...)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = rdb.Close() })
	s := newSystemOn(t, sc, "redis://"+server.Addr+"/0", rdb)
	s.redis = server
	return s
}

// newSystemOn is newSystem on a Redis of the caller's: its URL for wablock, and a client.
func newSystemOn(t testing.TB, sc simulator.Scenario, url string, rdb redis.UniversalClient) *system {
	t.Helper()
	s := &system{t: t, rdb: rdb, logs: &lockedBuffer{}}
	text, err := json.Marshal(sc)
	if err != nil {
		t.Fatal(err)
	}
	file := s.file("scenario.json", string(text))
	s.env = []string{
		"WABLOCK_REDIS_URL=" + url, "WABLOCK_ACCESS_TOKEN=" + accessToken,
		"WABLOCK_APP_SECRET=" + appSecret, "WABLOCK_PHONE_NUMBER_ID=" + phoneNumberID,
		"WABLOCK_HTTP_ADDR=127.0.0.1:0", "WABLOCK_LOG_FORMAT=json",
	}
	s.api = s.start("simulator", "simulator", "--addr", "127.0.0.1:0", "--scenario", file, "--json", "--log-level", "warn")
	line, err := s.api.out.ReadString('\n')
	if err != nil {
		t.Fatalf("simulator: %v: %s", err, s.api.log)
	}
	var at struct{ URL string }
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		t.Fatalf("simulator said %q: %v", line, err)
	}
	s.url = at.URL
	s.env = append(s.env, "WABLOCK_GRAPH_URL="+s.url)
	return s
}

func (s *system) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// start runs wablock in the background, until the test ends at the latest.
func (s *system) start(name string, args ...string) *process {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{t: s.t, name: name, log: &lockedBuffer{}, exited: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), s.env...)
	p.cmd.Stderr = io.MultiWriter(p.log, s.logs)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	s.t.Cleanup(p.kill)
	return p
}

// worker starts a worker, and returns when it works.
func (s *system) worker(name string, env ...string) *process {
	s.t.Helper()
	old := s.env
	s.env = append(append([]string(nil), s.env...), env...)
	p := s.start(name, "worker")
	s.env = old
	s.eventually(name+" has started", 20*time.Second, func() bool {
		select {
		case <-p.exited:
			s.t.Fatalf("%s ended: %s", name, p.log)
		default:
		}
		return strings.Contains(p.log.String(), "worker: started")
	})
	return p
}

// httpAddr returns the address that a worker serves its pages on.
func (p *process) httpAddr() string {
	p.t.Helper()
	for line := range strings.Lines(p.log.String()) {
		var l struct{ Msg, Addr string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "http: listening" {
			return l.Addr
		}
	}
	p.t.Fatalf("%s did not say where it listens: %s", p.name, p.log)
	return ""
}

// stop sends SIGTERM and waits for the end, which must be a good one.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.t.Fatalf("%s did not stop: %s", p.name, p.log)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("%s ended with %d: %s", p.name, code, p.log)
	}
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("%s: signal: %v", p.name, err)
	}
}

// answer holds exit code and output of one run of wablock.
type answer struct {
	code     int
	out, err string
}

// run runs wablock to its end.
func (s *system) run(args ...string) answer {
	s.t.Helper()
	return s.runWith("", args...)
}

func (s *system) runWith(stdin string, args ...string) answer {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		s.t.Fatal(err)
	}
	_, _ = s.logs.Write(errs.Bytes())
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want fails the test unless the run ended with a code.
func (s *system) want(code int, a answer) answer {
	s.t.Helper()
	if a.code != code {
		s.t.Fatalf("exit code %d, want %d\n%s%s", a.code, code, a.out, a.err)
	}
	return a
}

// objects reads NDJSON.
func objects[T any](t testing.TB, text string) []T {
	t.Helper()
	var all []T
	dec := json.NewDecoder(strings.NewReader(text))
	for {
		var v T
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		all = append(all, v)
	}
}

// journal returns the simulator's calls; it must not have dropped any.
func (s *system) journal() []simulator.Call {
	s.t.Helper()
	calls, dropped, err := simulator.ReadJournal(bytes.NewReader(s.get("/_simulator/journal")))
	if err != nil || dropped > 0 {
		s.t.Fatalf("journal: %v, %d calls dropped", err, dropped)
	}
	return calls
}

func (s *system) get(path string) []byte {
	s.t.Helper()
	return get(s.t, s.url+path)
}

func get(t testing.TB, url string) []byte {
	t.Helper()
	status, b := fetch(t, url)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", url, status, b)
	}
	return b
}

// getAny is get for pages that may answer with an error.
func getAny(t testing.TB, url string) []byte {
	t.Helper()
	_, b := fetch(t, url)
	return b
}

func fetch(t testing.TB, url string) (int, []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// eventually waits until ok holds.
func (s *system) eventually(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("it never came to be that %s", what)
		}
		<-tick.C
	}
}
