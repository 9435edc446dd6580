package verdict

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
)

// TestBelievableNames: users 0, 1, … of an answer are told WhatsApp IDs, by the number of the user whose it is, 9 for one of
// no user of the call; which are taken in.
func TestBelievableNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ told, want []int }{
		"each its own":                {[]int{0, 1, 2}, []int{0, 1, 2}},
		"two spellings":               {[]int{0, 0, 2}, []int{0, 0, 2}},
		"one that is not in the call": {[]int{9, 1, 9}, []int{9, 1, 9}},
		"as many as a person has":     {[]int{9, 9, 9, 9, 4}, []int{9, 9, 9, 9, 4}},
		"more":                        {[]int{9, 9, 9, 9, 9, 5}, []int{-1, -1, -1, -1, -1, 5}},
		"more, of one in the call":    {[]int{0, 0, 0, 0, 0, 0}, []int{0, -1, -1, -1, -1, -1}},
		"exchanged":                   {[]int{1, 0, 2}, []int{-1, -1, 2}},
		"shifted":                     {[]int{9, 0, 1, 2}, []int{9, -1, -1, -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users := claimed(t, make([]int, len(c.told))...)
			res := &client.Result{}
			for i, of := range c.told {
				res.Outcomes = append(res.Outcomes, client.Outcome{User: users[i].User, State: client.Succeeded, WaID: fmt.Sprintf("1650555%04d", of)})
			}
			v := Read(ledger.Block, users, res, nil, testPolicy())
			var want, got []string
			for i, of := range c.want {
				got = append(got, v.Settlements[i].WaID)
				if want = append(want, ""); of >= 0 {
					want[i] = fmt.Sprintf("1650555%04d", of)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
