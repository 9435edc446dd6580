package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// TestComputeKeepsWhatMatters makes a plan from records in any order, some of them twice: it must
// be the plan that is made when all of them are kept.
func TestComputeKeepsWhatMatters(t *testing.T) {
	t.Parallel()
	// Three people, each under the number that is dialled and the form that the API has, and one by
	// a user ID as well.
	names := []user.ID{}
	for n := range 3 {
		names = append(names, parse(fmt.Sprintf("+55929%08d", 81_000_000+n)), parse(fmt.Sprintf("+5592%08d", 81_000_000+n)))
	}
	bsuid := parse("US.13491208655302741918")
	names = append(names, bsuid)
	waIDs := []string{"", "559281000000", "559281000001", "5592981000000"}
	rapid.Check(t, func(t *rapid.T) {
		in := input{
			Mode:       rapid.SampledFrom([]plan.Mode{plan.Adopt, plan.Enforce, plan.Own}).Draw(t, "mode"),
			FromLedger: rapid.Bool().Draw(t, "from the ledger"), Pending: map[user.ID]ledger.Version{}, Later: map[user.ID]struct{}{},
		}
		for _, u := range names {
			if rapid.Bool().Draw(t, "desired") {
				in.Desired = append(in.Desired, u)
			}
			if rapid.IntRange(0, 4).Draw(t, "desired before") == 0 {
				in.Before = append(in.Before, u)
			}
			if rapid.IntRange(0, 9).Draw(t, "pending") == 0 {
				in.Pending[u] = before(time.Hour)
			}
			if rapid.Bool().Draw(t, "recorded") {
				in.Entries = append(in.Entries, ledger.Entry{
					User: u, Operation: rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Unblock}).Draw(t, "operation"),
					State:     rapid.SampledFrom([]ledger.State{ledger.Waiting, ledger.Succeeded, ledger.Succeeded, ledger.Dead, ledger.Discarded}).Draw(t, "state"),
					Queue:     rapid.SampledFrom([]ledger.Queue{ledger.Bulk, ledger.Reconcile}).Draw(t, "queue"),
					Version:   before(time.Duration(rapid.IntRange(-1, 50).Draw(t, "hours")) * time.Hour),
					WaID:      rapid.SampledFrom(waIDs).Draw(t, "WhatsApp ID"),
					SettledAt: before(time.Duration(rapid.IntRange(1, 40).Draw(t, "settled")) * time.Hour).Time(),
				})
			}
		}
		for _, id := range waIDs[1:] {
			if rapid.Bool().Draw(t, "listed") {
				in.Actual = append(in.Actual, client.Entry{WaID: id})
			}
		}
		if rapid.Bool().Draw(t, "listed by user ID") {
			in.Actual = append(in.Actual, client.Entry{WaID: "559281000001", UserID: bsuid.Reveal()})
		}
		in.Entries = append(in.Entries, in.Entries[:len(in.Entries)/2]...)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
		rnd.Shuffle(len(in.Entries), func(i, j int) { in.Entries[i], in.Entries[j] = in.Entries[j], in.Entries[i] })
		want, err := plan.ComputeAll(in.plan(), in.records)
		if err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(want, compute(t, in), gocmp.Comparer(func(a, b user.ID) bool { return a == b })); d != "" {
			t.Fatal(d)
		}
	})
}
