package worker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
)

// oddCall is a block or unblock call as it reaches oddAPI.
type oddCall struct {
	n     int // calls before it
	users []string
	w     http.ResponseWriter
	ended <-chan struct{}  // closed when the client has given up
	pass  func() oddAnswer // lets the simulator answer
}

// oddAnswer holds the answer of the simulator.
type oddAnswer struct {
	status int
	body   map[string]any
}

func (a oddAnswer) list(name string) []any {
	lists, _ := a.body["block_users"].(map[string]any)
	l, _ := lists[name].([]any)
	return l
}

func (a oddAnswer) setList(name string, l []any) {
	lists, _ := a.body["block_users"].(map[string]any)
	if lists == nil {
		lists = map[string]any{}
		a.body["block_users"] = lists
	}
	lists[name] = l
}

func (c *oddCall) has(u string) bool { return slices.Contains(c.users, u) }

func (c *oddCall) send(a oddAnswer) {
	b, _ := json.Marshal(a.body)
	c.raw(a.status, "application/json", string(b))
}

func (c *oddCall) raw(status int, typ, body string) {
	c.w.Header().Set("Content-Type", typ)
	c.w.WriteHeader(status)
	_, _ = io.WriteString(c.w, body)
}

// oddAPI answers in ways that the simulator does not.
type oddAPI struct {
	sim    http.Handler
	answer func(c *oddCall) bool // false lets the simulator answer

	mu sync.Mutex
	n  int
}

func (o *oddAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		o.sim.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		Users []struct{ User string } `json:"block_users"`
	}
	_ = json.Unmarshal(body, &in)
	c := &oddCall{w: w, ended: r.Context().Done()}
	for _, u := range in.Users {
		c.users = append(c.users, u.User)
	}
	o.mu.Lock()
	c.n = o.n
	o.n++
	o.mu.Unlock()
	c.pass = func() oddAnswer {
		rec := httptest.NewRecorder()
		o.sim.ServeHTTP(rec, r)
		a := oddAnswer{status: rec.Code}
		_ = json.Unmarshal(rec.Body.Bytes(), &a.body)
		return a
	}
	if !o.answer(c) {
		o.sim.ServeHTTP(w, r)
	}
}

func (o *oddAPI) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}

const oddUser = "+16505559999"

func isOdd(entry any) bool {
	m, _ := entry.(map[string]any)
	return m["input"] == oddUser
}

// refuse moves the odd user of a call from added_users to failed_users, with such errors.
func refuse(errors any) func(c *oddCall) bool {
	return func(c *oddCall) bool {
		if !c.has(oddUser) {
			return false
		}
		a := c.pass()
		entry := map[string]any{"input": oddUser, "errors": errors}
		a.setList("added_users", slices.DeleteFunc(a.list("added_users"), isOdd))
		a.setList("failed_users", append(a.list("failed_users"), entry))
		c.send(a)
		return true
	}
}

// sunk answers so whenever the odd user is in the call.
func sunk(status int, typ, body string) func(c *oddCall) bool {
	return func(c *oddCall) bool {
		if c.has(oddUser) {
			c.raw(status, typ, body)
		}
		return c.has(oddUser)
	}
}

// withHeader adds a header to answers to calls with the odd user.
func withHeader(name, value string, answer func(c *oddCall) bool) func(c *oddCall) bool {
	return func(c *oddCall) bool {
		if c.has(oddUser) {
			c.w.Header().Set(name, value)
		}
		return answer(c)
	}
}

// named answers with the odd user in failed_users, and with no word of the others.
func named(errors any) func(c *oddCall) bool {
	return func(c *oddCall) bool {
		if c.has(oddUser) {
			c.send(oddAnswer{400, map[string]any{"block_users": map[string]any{"failed_users": []any{map[string]any{"input": oddUser, "errors": errors}}}}})
		}
		return c.has(oddUser)
	}
}

func code(n int) []any {
	return []any{map[string]any{"message": "m", "code": n, "error_data": map[string]any{"details": "d"}}}
}

// TestOddAnswers: the answers for one user are odd in every way. The others' go on, and the user ends.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	jsonType, html := "application/json", "text/html"
	cases := map[string]func(c *oddCall) bool{
		"user without errors": refuse(nil),
		"user with errors {}": refuse(map[string]any{}),
		"user with [null]":    refuse([]any{nil}),
		"user code as text":   refuse([]any{map[string]any{"code": "131000", "message": "m"}}),
		"user code 0":         refuse(code(0)),
		"user code 190":       refuse(code(190)),
		"user code 139102":    refuse(code(139102)),
		"user code 130429":    refuse(code(130429)),
		"user code 139101":    refuse(code(139101)),
		"user code 424242":    refuse(code(424242)),
		"empty 200":           sunk(200, jsonType, ""),
		"{}":                  sunk(200, jsonType, "{}"),
		"null":                sunk(200, jsonType, "null"),
		"[]":                  sunk(200, jsonType, "[]"),
		"204":                 sunk(204, jsonType, ""),
		"200 with error":      sunk(200, jsonType, `{"error":{"code":131000,"message":"m"}}`),
		"200 with error 190":  sunk(200, jsonType, `{"error":{"code":190,"message":"m"}}`),
		"200 with code 0":     sunk(200, jsonType, `{"error":{"code":0,"message":"m"}}`),
		"400 no code":         sunk(400, jsonType, `{"error":{"message":"m"}}`),
		"400 html":            sunk(400, html, "<html>bad"),
		"401 html":            sunk(401, html, "<html>who"),
		"403 html":            sunk(403, html, "<html>waf"),
		"404 html":            sunk(404, html, "<html>none"),
		"413 html":            sunk(413, html, "<html>large"),
		"429 html":            sunk(429, html, "<html>slow"),
		"503 html":            sunk(503, html, "<html>down"),
		"301":                 sunk(301, html, ""),
		"139101":              sunk(400, jsonType, `{"error":{"code":139101,"message":"m"}}`),
		"139102":              sunk(400, jsonType, `{"error":{"code":139102,"message":"m"}}`),
		"only null users":     sunk(200, jsonType, `{"block_users":{"added_users":[null],"failed_users":[null]}}`),
		"other users":         sunk(200, jsonType, `{"block_users":{"added_users":[{"input":"+16505550000","wa_id":"16505550000"}]}}`),
		"huge body":           sunk(200, jsonType, `{"x":"`+strings.Repeat("x", 20<<20)+`"}`),
		"200 login page":      sunk(200, html, "<html>log in"),
		"408 html":            sunk(408, html, "<html>time"),
		"425 html":            sunk(425, html, "<html>early"),
		"599 json":            sunk(599, jsonType, "{}"),
		"302 elsewhere":       withHeader("Location", "http://api/login", sunk(302, html, "")),
		"307 to itself":       withHeader("Location", "http://api/v25.0/"+phoneNumberID+"/block_users", sunk(307, html, "")),
		"303 of no scheme":    withHeader("Location", ":", sunk(303, html, "")),
		"503 for a day":       withHeader("Retry-After", "86400", sunk(503, html, "")),
		"200 for a day":       withHeader("Retry-After", "86400", sunk(200, jsonType, "{}")),
		"error as text":       sunk(400, jsonType, `{"error":"bad"}`),
		"error as list":       sunk(200, jsonType, `{"error":[]}`),
		"code too large":      sunk(400, jsonType, `{"error":{"code":1e400,"message":"m"}}`),
		"code as list":        sunk(500, jsonType, `{"error":{"code":[],"message":"m"}}`),
		"deep":                sunk(200, jsonType, strings.Repeat("[", 20_000)),
		"lists as list":       sunk(200, jsonType, `{"block_users":[]}`),
		"users as text":       sunk(200, jsonType, `{"block_users":{"added_users":["x"]}}`),
		"slow body": func(c *oddCall) bool {
			if c.has(oddUser) {
				<-c.ended
			}
			return c.has(oddUser)
		},
		"190 by turns": func(c *oddCall) bool {
			if c.has(oddUser) && c.n%2 == 0 {
				c.raw(401, jsonType, `{"error":{"code":190,"message":"m"}}`)
				return true
			}
			return refuse(code(190))(c)
		},
		"139101 by turns": func(c *oddCall) bool {
			if c.has(oddUser) && c.n%2 == 0 {
				c.raw(400, jsonType, `{"error":{"code":139101,"message":"m"}}`)
				return true
			}
			return refuse(code(139103))(c)
		},
		"in both lists": func(c *oddCall) bool {
			if !c.has(oddUser) {
				return false
			}
			a := c.pass()
			a.setList("failed_users", append(a.list("failed_users"), map[string]any{"input": oddUser, "errors": code(131000)}))
			c.send(a)
			return true
		},
		"user alone named 139102": named(code(139102)),
		"user alone named 190":    named(code(190)),
		"user alone named 130429": named(code(130429)),
		"user alone named null":   named(nil),
		"doubled entries": func(c *oddCall) bool {
			a := c.pass()
			l := a.list("added_users")
			l = append(append(l, l...), nil, map[string]any{"input": "+16505550777", "wa_id": "16505550777"})
			if c.has(oddUser) {
				e := map[string]any{"input": oddUser, "errors": code(131047)}
				a.setList("failed_users", []any{e, nil, e, map[string]any{"input": "+16505550778", "errors": code(190)}})
				l = slices.DeleteFunc(l, isOdd)
			}
			a.setList("added_users", l)
			c.send(a)
			return true
		},
		"several ways by turns": func(c *oddCall) bool {
			if !c.has(oddUser) {
				return false
			}
			switch c.n % 5 {
			case 0:
				return refuse(code(130429))(c)
			case 1:
				return sunk(503, html, "down")(c)
			case 2:
				return sunk(400, jsonType, `{"error":{"code":100,"message":"m"}}`)(c)
			case 3:
				return sunk(400, jsonType, `{"error":{"code":10,"message":"m"}}`)(c)
			default:
				return refuse(code(139102))(c)
			}
		},
	}
	names, rates := slices.Sorted(maps.Keys(cases)), []float64{3, 20}
	if redistest.Rounds(t, 1, 2) == 1 {
		rates = rates[:1]
		names = []string{
			"user alone named 139102", "user alone named 190", "user alone named 130429", "user code 139102", "doubled entries",
			"empty 200", "200 with error 190", "429 html", "several ways by turns", "slow body",
		}
	}
	for _, name := range names {
		for _, rate := range rates {
			t.Run(fmt.Sprintf("%s/%v", name, rate), func(t *testing.T) {
				t.Parallel()
				longest := 20 * time.Second
				if strings.HasPrefix(name, "139101") {
					longest = 45 * time.Second // it looks like a full list, which is tried at most once in 5 s
				}
				oddRun(t, cases[name], rate, longest)
			})
		}
	}
}

// oddRun lets two workers carry out a job whose odd user is answered so, and single requests beside it, none of which
// may take longer than longest.
func oddRun(t *testing.T, answer func(c *oddCall) bool, rate float64, longest time.Duration) {
	t.Helper()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		api := &oddAPI{sim: b.sim, answer: answer}
		b.world.options = []client.Option{client.WithTransport(inProcess{api})}
		b.cfg.MaxAttempts, b.cfg.RequestTimeout, b.cfg.Logger = 3, 5*time.Second, nil
		b.cfg.Limiter = redislimit.New(b.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: rate, Burst: 5} })
		for range 2 {
			w, err := worker.New(b.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer b.start(w)()
		}
		start := time.Now()
		job := b.enqueue(ledger.Block, append(numbersFrom(0, 200), oddUser)...)
		var worst, ended, done time.Duration
		singles := map[int]time.Time{} // those that wait, since when
		for i := 0; time.Since(start) < 5*time.Minute && (ended == 0 || done == 0 || len(singles) > 0); i++ {
			if i < 60 || ended == 0 && i%10 == 0 { // that its calls fail counts beside others' that are served
				b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i))
				singles[i] = time.Now()
			}
			<-time.After(500 * time.Millisecond)
			for i, since := range singles {
				worst = max(worst, time.Since(since))
				if b.entry(fmt.Sprintf("+1650556%04d", i)).State == ledger.Succeeded {
					delete(singles, i)
				}
			}
			p, err := b.producer.Progress(t.Context(), phoneNumberID, job.Version, job.Users)
			if err != nil {
				t.Fatal(err)
			}
			if ended == 0 && b.entry(oddUser).State.Ended() {
				ended = time.Since(start)
			}
			if done == 0 && p.Succeeded >= 200 {
				done = time.Since(start)
			}
		}
		<-time.After(time.Second) // a dead letter is put after the user's end is written
		e := b.entry(oddUser)
		t.Logf("the job's others done after %v, single ones within %v; the odd user %v after %v, %d attempts; %d calls, %d dead letters",
			done, worst, e.State, ended, e.Attempts, api.calls(), b.deadLetters())
		if ended == 0 || done == 0 || len(singles) > 0 || b.deadLetters() != 1 {
			t.Error("they did not end as they must")
		}
		if done > time.Minute || worst > longest {
			t.Error("the others waited")
		}
	})
}

// TestRetryAfterOfOneUser: each call of one user is limited for the account, with a pause. The first pause is kept to; once
// others were served since, those that follow are known to be the user's.
func TestRetryAfterOfOneUser(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		const pause = 30 * time.Second
		var until time.Time
		var early, pauses int
		api := &oddAPI{sim: b.sim, answer: func(c *oddCall) bool {
			if time.Now().Before(until) && pauses == 1 {
				early++
			}
			if c.has(oddUser) {
				pauses++
				until = time.Now().Add(pause)
				c.w.Header().Set("Retry-After", "30")
				c.raw(429, "application/json", `{"error":{"code":80007,"message":"m"}}`)
			}
			return c.has(oddUser)
		}}
		b.world.options = []client.Option{client.WithTransport(inProcess{api})}
		b.cfg.MaxAttempts, b.cfg.Logger = 3, nil
		b.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
			n, ok := b.resolve(id)
			n.Account = "102290129340398"
			return n, ok
		}
		defer b.run()()
		b.enqueue(ledger.Block, append(numbersFrom(0, 20), oddUser)...)
		var worst time.Duration
		start := time.Now()
		for i := 0; !b.entry(oddUser).State.Ended() && time.Since(start) < time.Hour; i++ {
			began := time.Now()
			if !b.succeedWithin(b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i)), 5*time.Minute) {
				return
			}
			worst = max(worst, time.Since(began))
			<-time.After(5 * time.Second)
		}
		t.Logf("%v after %v and %d pauses, others within %v, %d calls in the first pause", b.entry(oddUser).State, time.Since(start), pauses, worst, early)
		if !b.entry(oddUser).State.Ended() || worst > 2*pause || early > 2 {
			t.Error("one user's pauses hold up others, or the first is not kept to")
		}
	})
}
