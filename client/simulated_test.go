package client_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/config/secret"
)

// TestAgainstSimulator blocks, lists and unblocks 260 users in every wire form that the
// simulator knows: whatever the form, the client's view and the simulator's are one.
func TestAgainstSimulator(t *testing.T) {
	t.Parallel()
	for name, sc := range map[string]simulator.Scenario{
		"plain":           {},
		"mixed with 200":  {Answers: simulator.Answers{MixedStatus: 200}},
		"odd forms":       {Answers: simulator.Answers{StringCodes: true, EmptyLists: true, UnblockAdds: true, Shuffle: true, AppUsage: true}},
		"no next":         {Listing: simulator.Listing{OmitNext: true}},
		"small pages":     {Listing: simulator.Listing{MaxLimit: 50, OmitNext: true}},
		"older listing":   {Listing: simulator.Listing{OlderShape: true}},
		"default limit":   {Listing: simulator.Listing{DefaultLimit: 7, MaxLimit: 7}},
		"newest first":    {Listing: simulator.Listing{NewestFirst: true, NoOpBumps: true}},
		"no user IDs":     {Listing: simulator.Listing{OmitUserIDs: true}, Users: []simulator.User{{User: "+16505550001", UserID: "US.1349", ParentUserID: "US.ENT.7"}}},
		"other version":   {APIVersion: "v26.0", Answers: simulator.Answers{OmitUsage: true}},
		"appsecret_proof": {AppSecret: "made-up", Tokens: []simulator.Token{{Token: token}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, err := simulator.New(simulator.Config{Scenario: sc})
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, http.StripPrefix("/graph", sim).ServeHTTP, client.WithAppSecret(secret.Static(secret.New("made-up"))))
			users := append(many(t, 259), ids(t, "US.13491208655302741918")...)
			refused := ids(t, "+15550131047")
			if err := c.Check(t.Context(), phoneNumberID); err != nil {
				t.Fatal(err)
			}
			blocked, err := c.Block(t.Context(), phoneNumberID, append(users, refused...))
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range blocked.Outcomes {
				if i < len(users) && o.State != client.Succeeded {
					t.Fatalf("place %d: %v", i, o)
				}
			}
			if last := blocked.Outcomes[len(users)]; last.State != client.Failed || last.Error.Code != 131047 {
				t.Fatalf("the refused user: %v", last)
			}
			var listed []string
			for e, err := range c.List(t.Context(), phoneNumberID, client.ListOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				listed = append(listed, cmp.Or(e.WaID, e.UserID))
			}
			want := sim.Snapshot(phoneNumberID)
			slices.Sort(listed)
			slices.Sort(want)
			if diff := gocmp.Diff(want, listed); diff != "" || len(want) != len(users) {
				t.Errorf("%d on the list (-want +got):\n%s", len(want), diff)
			}
			unblocked, err := c.Unblock(t.Context(), phoneNumberID, users)
			if err != nil || slices.ContainsFunc(unblocked.Outcomes, func(o client.Outcome) bool { return o.State != client.Succeeded }) {
				t.Fatalf("unblock: %v", err)
			}
			if left := sim.Snapshot(phoneNumberID); len(left) > 0 {
				t.Errorf("%d users are left", len(left))
			}
		})
	}
}

func TestSimulatedListChanges(t *testing.T) {
	t.Parallel()
	sim, err := simulator.New(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, http.StripPrefix("/graph", sim).ServeHTTP)
	if _, err := c.Block(t.Context(), phoneNumberID, many(t, 20)); err != nil {
		t.Fatal(err)
	}
	var seen int
	for _, err = range c.List(t.Context(), phoneNumberID, client.ListOptions{Limit: 5}) {
		if seen++; seen == 2 {
			if err := sim.Seed(phoneNumberID, fmt.Sprintf("+1650556%04d", 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if client.Classify(err).Remedy != client.RestartListing || seen != 6 {
		t.Errorf("after %d: %v", seen, err)
	}
}
