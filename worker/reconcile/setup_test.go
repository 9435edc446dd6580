package reconcile_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/listing"
	"github.com/wablock/wablock/worker/reconcile/plan"
	"github.com/wablock/wablock/worker/reconcile/source"
)

const phoneNumberID = "106540352242922"

// world is a simulated API and a Redis.
type world struct {
	t        testing.TB
	rdb      redis.UniversalClient
	sim      *simulator.Simulator
	api      *client.Client
	ledger   *ledger.Ledger
	producer *tasks.Producer
	runner   *reconcile.Runner
	log      *slog.Logger
	claims   int
	pauses   []time.Duration
}

func newWorld(t testing.TB, rdb redis.UniversalClient, sc simulator.Scenario) *world {
	t.Helper()
	sim, err := simulator.New(simulator.Config{Scenario: sc})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, rdb: rdb, sim: sim, ledger: ledger.New(rdb, phoneNumberID), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if w.api, err = client.New("http://127.0.0.1", "v25.0", secret.Static(secret.New("token")), client.WithTransport(direct{sim})); err != nil {
		t.Fatal(err)
	}
	if w.producer, err = tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID}); err != nil {
		t.Fatal(err)
	}
	w.runner = w.newRunner(nil)
	return w
}

// direct hands requests to the simulated API without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	if in.RequestURI = r.URL.RequestURI(); in.Body == nil {
		in.Body = http.NoBody
	}
	d.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// newRunner returns a runner that takes its pauses down in place of pausing.
func (w *world) newRunner(now func(context.Context) (time.Time, error)) *reconcile.Runner {
	w.t.Helper()
	r, err := reconcile.New(reconcile.Config{Redis: w.rdb, Logger: w.log, Now: now, Pause: func(ctx context.Context, d time.Duration) error {
		w.pauses = append(w.pauses, d)
		return ctx.Err()
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// each runs body on miniredis and on a real Redis.
func each(t *testing.T, sc simulator.Scenario, body func(t *testing.T, w *world)) {
	t.Helper()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) { body(t, newWorld(t, rdb, sc)) })
}

// between does something before each page.
type between struct {
	listing.API
	before func()
	pages  int
}

func (b *between) ListPage(ctx context.Context, id string, o client.ListOptions) (*client.Page, error) {
	b.pages++
	if b.before != nil {
		b.before()
	}
	return b.API.ListPage(ctx, id, o)
}

// fixed is a source of some users.
type fixed []user.ID

func (fixed) Name() string { return "a test" }
func (fixed) ID() string   { return "fixed" }
func (f fixed) Read(context.Context) (source.List, error) {
	return source.List{Users: f}, nil
}

func (w *world) target(s source.Source) reconcile.Target {
	return reconcile.Target{
		PhoneNumberID: phoneNumberID, API: w.api, Source: s, Mode: plan.Enforce, MaxChanges: plan.DefaultMaxChanges,
	}
}

func (w *world) run(target reconcile.Target, o reconcile.Options) *reconcile.Result {
	w.t.Helper()
	w.nextMillisecond()
	res, err := w.runner.Run(w.t.Context(), target, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

// believe makes a source one whose list was believed before.
func (w *world) believe(s source.Source, n int) {
	w.t.Helper()
	if err := w.rdb.HSet(w.t.Context(), "wablock:{"+phoneNumberID+"}:reconcile:desired", s.ID(), n).Err(); err != nil {
		w.t.Fatal(err)
	}
}

// nextMillisecond returns when what was settled until now was settled before any run's base.
func (w *world) nextMillisecond() {
	w.t.Helper()
	for first := ledger.Version(0); ; {
		v, err := w.ledger.NextVersion(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if first == 0 {
			first = v
		}
		if v/1000 > first/1000 {
			return
		}
	}
}

// work carries out what waits, as a worker would, until nothing does.
func (w *world) work() {
	w.t.Helper()
	for {
		w.claims++
		c, err := w.ledger.Claim(w.t.Context(), ledger.ClaimOptions{ID: fmt.Sprintf("claim-%d", w.claims), Max: ledger.MaxBatch, Timeout: time.Minute})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(c.Users) == 0 {
			return
		}
		w.carryOut(c)
	}
}

func (w *world) carryOut(c ledger.Claim) {
	w.t.Helper()
	ids := make([]user.ID, len(c.Users))
	for i, u := range c.Users {
		ids[i] = u.User
	}
	do := w.api.Block
	if c.Operation == ledger.Unblock {
		do = w.api.Unblock
	}
	res, err := do(w.t.Context(), phoneNumberID, ids)
	if res == nil {
		w.t.Fatal(err)
	}
	settlements := make([]ledger.Settlement, len(c.Users))
	for i, u := range c.Users {
		o := res.Outcomes[i]
		settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, WaID: o.WaID}
		if o.State != client.Succeeded {
			settlements[i].Do, settlements[i].Failure = ledger.Kill, &ledger.Failure{Code: 131047}
		}
	}
	if _, err := w.ledger.Settle(w.t.Context(), c.ID, settlements); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) enqueue(op ledger.Operation, users ...user.ID) tasks.Job {
	w.t.Helper()
	job, err := w.producer.Enqueue(w.t.Context(), tasks.Request{Operation: op, Users: users})
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// seed puts users on the list behind our back.
func (w *world) seed(users ...user.ID) {
	w.t.Helper()
	if err := w.sim.Seed(phoneNumberID, names(users)...); err != nil {
		w.t.Fatal(err)
	}
}

// foreign blocks or unblocks users as another program would.
func (w *world) foreign(op ledger.Operation, users ...user.ID) {
	w.t.Helper()
	do := w.api.Block
	if op == ledger.Unblock {
		do = w.api.Unblock
	}
	if _, err := do(w.t.Context(), phoneNumberID, users); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) listed() []string { return slices.Sorted(slices.Values(w.sim.Snapshot(phoneNumberID))) }

func num(n int) user.ID { return parse(fmt.Sprintf("+1650%07d", 2_000_000+n)) }

// nums returns the numbers from one to below another.
func nums(from, to int) []user.ID {
	var users []user.ID
	for n := from; n < to; n++ {
		users = append(users, num(n))
	}
	return users
}

func parse(s string) user.ID {
	u, err := user.Parse(s)
	if err != nil {
		panic(err) // a test's own number
	}
	return u
}

func names(users []user.ID) []string {
	out := make([]string, len(users))
	for i, u := range users {
		out[i] = u.Reveal()
	}
	return out
}

func changes(changes []plan.Change) []string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.User.Reveal()
	}
	return out
}

func waIDs(users []user.ID) []string {
	out := names(users)
	for i := range out {
		out[i] = out[i][1:]
	}
	slices.Sort(out)
	return out
}

// empty reports whether a plan changes nothing.
func empty(p *plan.Plan) bool { return len(p.ToBlock)+len(p.ToUnblock)+len(p.ToAdopt) == 0 }
