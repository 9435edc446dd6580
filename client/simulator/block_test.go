package simulator_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

func TestBlockListUnblock(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{})
	r := g.block("+16505551234", "14155559876")
	g.want(r, 200, 0)
	want := `{"messaging_product":"whatsapp","block_users":{"added_users":[{"input":"+16505551234","wa_id":"16505551234"},{"input":"14155559876","wa_id":"14155559876"}]}}`
	if r.Raw != want {
		t.Errorf("got  %s\nwant %s", r.Raw, want)
	}
	if got := g.list("").waIDs(); !cmp.Equal(got, []string{"16505551234", "14155559876"}) {
		t.Errorf("listed %v", got)
	}
	r = g.unblock("+16505551234")
	want = `{"messaging_product":"whatsapp","block_users":{"removed_users":[{"input":"+16505551234","wa_id":"16505551234"}]}}`
	if r.Raw != want {
		t.Errorf("got  %s\nwant %s", r.Raw, want)
	}
	if got := g.Snapshot(phone); !cmp.Equal(got, []string{"14155559876"}) {
		t.Errorf("on the list: %v", got)
	}
	if got := g.Snapshot("1"); len(got) != 0 {
		t.Errorf("another phone number's list: %v", got)
	}
}

func TestMixedAnswer(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{Users: []simulator.User{{User: "+14155559876", Silent: true}}})
	r := g.block("+16505551234", "+14155559876")
	g.want(r, 400, 139100)
	want := `{"messaging_product":"whatsapp","block_users":{"added_users":[{"input":"+16505551234","wa_id":"16505551234"}],` +
		`"failed_users":[{"input":"+14155559876","wa_id":"14155559876","errors":[{"message":"Re-engagement required","code":131047,` +
		`"error_data":{"details":"User has not messaged in the last 24 hours"}}]}]},"error":{"message":"(#139100) Failed to block/unblock users",` +
		`"type":"OAuthException","code":139100,"error_data":{"details":"Failed to block some users, see the block_users response list for details"},` +
		`"fbtrace_id":"` + r.Error.Trace + `"}}`
	if r.Raw != want || r.Error.Trace == "" {
		t.Errorf("got  %s\nwant %s", r.Raw, want)
	}
}

func TestTestNumbers(t *testing.T) {
	t.Parallel()
	type wanted struct {
		block, unblock []int // code in each call: 0 succeeded, -1 in neither list, negative code-1 whole call
	}
	const absent = -1
	whole := func(code int) int { return -1 - code }
	want := map[string]wanted{
		"+15550131047": {[]int{131047, 131047}, []int{0}},
		"+15550000404": {[]int{131047}, []int{131047}},
		"+15550131021": {[]int{131021}, []int{131021}},
		"+15550139101": {[]int{139101, 139101}, []int{0}},
		"+15550139103": {[]int{139103, 139103, 139103, 139103}, []int{139103}},
		"+15550000002": {[]int{139103, 139103, 0, 0}, []int{139103, 139103, 0}},
		"+15550000521": {[]int{0}, []int{0}},
		"+15550000000": {[]int{absent, absent}, []int{absent}},
		"+15550000100": {[]int{whole(100), whole(100)}, []int{whole(100)}},
		"+15550131009": {[]int{whole(131009)}, []int{whole(131009)}},
		"+15550130429": {[]int{whole(130429), 0, 0}, []int{whole(130429), 0}},
		"+15550003000": {}, // see TestSlowNumber
	}
	outcome := func(r reply, number string) int {
		for _, u := range append(r.Users.Added, r.Users.Removed...) {
			if u.Input == number {
				return 0
			}
		}
		if code, ok := r.failures()[number]; ok {
			return code
		}
		if r.Error.Code != 0 && r.Error.Code != 139100 {
			return whole(r.Error.Code)
		}
		return absent
	}
	for _, n := range simulator.TestNumbers() {
		t.Run(n.Number, func(t *testing.T) {
			t.Parallel()
			w, ok := want[n.Number]
			if !ok {
				t.Fatal("this test does not know the number")
			}
			g := setup(t, simulator.Scenario{})
			for i, code := range w.block {
				if got := outcome(g.block("+16505551234", n.Number), n.Number); got != code {
					t.Errorf("block %d: %d, want %d", i+1, got, code)
				}
			}
			for i, code := range w.unblock {
				if got := outcome(g.unblock("+16505551234", n.Number), n.Number); got != code {
					t.Errorf("unblock %d: %d, want %d", i+1, got, code)
				}
			}
			plain := setup(t, simulator.Scenario{IgnoreTestNumbers: true})
			plain.want(plain.block(n.Number), 200, 0)
		})
	}
	if len(want) != len(simulator.TestNumbers()) {
		t.Errorf("%d numbers are tested, there are %d", len(want), len(simulator.TestNumbers()))
	}
}
