package listing_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/worker/reconcile/listing"
)

const phoneNumberID = "106540352242922"

// setup returns a simulated API with a hundred users on its list, and a client of it.
func setup(t *testing.T, sc simulator.Scenario) (*simulator.Simulator, *client.Client) {
	t.Helper()
	sim, err := simulator.New(simulator.Config{Scenario: sc})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	api, err := client.New(srv.URL, "v25.0", secret.Static(secret.New("token")))
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for _, id := range waIDs() {
		users = append(users, "+"+id)
	}
	if err := sim.Seed(phoneNumberID, users...); err != nil {
		t.Fatal(err)
	}
	return sim, api
}

// waIDs returns what the list holds, in order.
func waIDs() []string {
	var ids []string
	for n := range 100 {
		ids = append(ids, fmt.Sprintf("1650%07d", 2_000_000+n))
	}
	return ids
}

// TestRead lets pages fail in each way that passes, and in some that do not.
func TestRead(t *testing.T) {
	t.Parallel()
	list := []simulator.Operation{simulator.List}
	second, restart := []time.Duration{time.Second}, 250*time.Millisecond
	for name, c := range map[string]struct {
		fault  simulator.Fault
		sc     simulator.Scenario
		want   client.Remedy // of the error, when fails
		fails  bool
		pauses []time.Duration
	}{
		"rate limit": {fault: simulator.Fault{Operations: list, Skip: 2, Times: 1, Effect: simulator.EffectFail, Code: 130429}, pauses: second},
		"rate limit for good": {
			fault: simulator.Fault{Operations: list, Effect: simulator.EffectFail, Code: 130429}, fails: true, want: client.RateLimit,
			pauses: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second},
		},
		"page of a gateway": {fault: simulator.Fault{Operations: list, Times: 1, Effect: simulator.EffectHTML}, pauses: second},
		"half a page":       {fault: simulator.Fault{Operations: list, Times: 1, Effect: simulator.EffectTruncated}, pauses: second},
		"outage": {
			fault: simulator.Fault{Operations: list, Effect: simulator.EffectHTML}, fails: true, want: client.Retry,
			pauses: []time.Duration{time.Second, 2 * time.Second},
		},
		"changed twice": {
			fault:  simulator.Fault{Operations: list, WithCursor: true, Times: 2, Effect: simulator.EffectFail, Code: 139102},
			pauses: []time.Duration{restart, 2 * restart},
		},
		"cursor refused": {
			fault:  simulator.Fault{Operations: list, WithCursor: true, Times: 1, Effect: simulator.EffectFail, Code: 100},
			pauses: []time.Duration{restart},
		},
		"changes for ever": {
			fault: simulator.Fault{Operations: list, WithCursor: true, Effect: simulator.EffectFail, Code: 139102}, fails: true, want: client.RestartListing,
			pauses: []time.Duration{restart, 2 * restart, 4 * restart, 8 * restart, 16 * restart, 5 * time.Second, 5 * time.Second, 5 * time.Second},
		},
		"empty pages": {fault: simulator.Fault{Operations: list, Every: 2, Effect: simulator.EffectEmptyPage}},
		"an empty page for ever": {
			fault: simulator.Fault{Operations: list, WithCursor: true, Effect: simulator.EffectEmptyPage}, fails: true, want: client.Retry,
			pauses: []time.Duration{restart, 2 * restart, 4 * restart, 8 * restart, 16 * restart, 5 * time.Second, 5 * time.Second, 5 * time.Second},
		},
		"no next": {sc: simulator.Scenario{Listing: simulator.Listing{OmitNext: true, MaxLimit: 25}}},
		"large limits refused": {
			sc: simulator.Scenario{Listing: simulator.Listing{RefuseOverMax: true, MaxLimit: 100}},
		},
		"refused": {fault: simulator.Fault{Operations: list, Effect: simulator.EffectFail, Code: 190}, fails: true, want: client.Halt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.fault.Effect != "" {
				c.sc.Faults = []simulator.Fault{c.fault}
			}
			if c.sc.Listing.MaxLimit == 0 {
				c.sc.Listing.MaxLimit = 25
			}
			_, api := setup(t, c.sc)
			var pauses []time.Duration
			entries, err := listing.Read(t.Context(), listing.Config{API: api, PhoneNumberID: phoneNumberID, Say: t.Logf, Pause: func(ctx context.Context, d time.Duration) error {
				pauses = append(pauses, d)
				return ctx.Err()
			}})
			if diff := cmp.Diff(c.pauses, pauses); diff != "" {
				t.Errorf("pauses: %s", diff)
			}
			if c.fails {
				if err == nil || len(entries) > 0 || client.Classify(err).Remedy != c.want {
					t.Fatalf("got %d entries, %v", len(entries), err)
				}
				return
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.WaID)
			}
			slices.Sort(got)
			if diff := cmp.Diff(waIDs(), got); err != nil || diff != "" {
				t.Errorf("%v, %s", err, diff)
			}
		})
	}
}

// TestReadSharesTheBudget counts tokens, and lets writes go first.
func TestReadSharesTheBudget(t *testing.T) {
	t.Parallel()
	sim, api := setup(t, simulator.Scenario{Listing: simulator.Listing{MaxLimit: 25}})
	limiter := &tokens{}
	writes := 3
	var pauses []time.Duration
	_, err := listing.Read(t.Context(), listing.Config{
		API: api, PhoneNumberID: phoneNumberID, Limiter: limiter,
		Writes: func(context.Context) bool { writes--; return writes >= 0 },
		Pause:  func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := len(sim.Journal())
	if limiter.taken != calls || limiter.reported != calls || calls < 4 {
		t.Errorf("%d calls, %d tokens, %d reports", calls, limiter.taken, limiter.reported)
	}
	want := []time.Duration{50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond, 70 * time.Millisecond}
	if d := cmp.Diff(want, pauses); d != "" {
		t.Error(d)
	}
}

// tokens is a limiter that refuses once, and counts.
type tokens struct {
	asked, taken, reported int
}

func (l *tokens) Take(context.Context, ratelimit.Key) (ratelimit.Grant, error) {
	if l.asked++; l.asked == 1 {
		return ratelimit.Grant{Wait: 70 * time.Millisecond}, nil
	}
	l.taken++
	return ratelimit.Grant{OK: true}, nil
}

func (l *tokens) Cancel(context.Context, ratelimit.Key, ratelimit.Grant) error { return nil }

func (*tokens) GiveUp(context.Context, ratelimit.Key) error { return nil }

func (l *tokens) Report(_ context.Context, _ ratelimit.Key, _ ratelimit.Grant, o ratelimit.Observation) error {
	if o.Served {
		l.reported++
	}
	return nil
}

// overlapping is an API whose second page repeats the end of the first.
type overlapping struct{}

func (overlapping) ListPage(_ context.Context, _ string, o client.ListOptions) (*client.Page, error) {
	if o.After == "" {
		return &client.Page{Entries: []client.Entry{{WaID: "1"}, {WaID: "2", UserID: "US.2"}, {}}, HasNext: true, After: "next"}, nil
	}
	return &client.Page{Entries: []client.Entry{{WaID: "2", UserID: "US.2"}, {WaID: "2"}, {WaID: "3"}, {}}}, nil
}

func TestReadOverlappingPages(t *testing.T) {
	t.Parallel()
	entries, err := listing.Read(t.Context(), listing.Config{API: overlapping{}, PhoneNumberID: phoneNumberID})
	want := []client.Entry{{WaID: "1"}, {WaID: "2", UserID: "US.2"}, {}, {WaID: "2"}, {WaID: "3"}, {}}
	if d := cmp.Diff(want, entries); err != nil || d != "" {
		t.Errorf("%v, %s", err, d)
	}
}
