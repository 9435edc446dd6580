package verdict

import (
	"slices"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// believable returns an answer without the WhatsApp IDs that it can't mean: one that it tells of more than ledger.MaxNames
// users, and the number of another of its users, who is told another one as well. A user's record moves to the number that is
// told, and calls name that: believed, such an answer would make one person of many.
func believable(res *client.Result) *client.Result {
	number := func(o client.Outcome) user.ID { // another one than the user's own, the zero ID for none
		if _, other := ledger.NewName(o.User, o.WaID, time.Time{}); !other {
			return user.ID{}
		}
		id, _ := user.FromCanonical("+" + o.WaID)
		return id
	}
	told := map[user.ID]int{}
	for _, o := range res.Outcomes {
		if n := number(o); !n.IsZero() {
			told[n]++
		}
	}
	if len(told) == 0 {
		return res
	}
	renamed := map[user.ID]bool{}
	for _, o := range res.Outcomes {
		if told[o.User] > 0 && !number(o).IsZero() {
			renamed[o.User] = true
		}
	}
	kept := *res
	kept.Outcomes = slices.Clone(res.Outcomes)
	for i, o := range res.Outcomes {
		if n := number(o); told[n] > ledger.MaxNames || renamed[n] {
			kept.Outcomes[i].WaID = ""
		}
	}
	return &kept
}
