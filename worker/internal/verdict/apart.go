package verdict

import (
	"slices"

	"github.com/wablock/wablock/tasks/ledger"
)

// companyShare is the part of a call that timed out that goes into one call again.
const companyShare = 16

// Apart parts the users of a claim into those of its calls, one after the other, and those that go back in line. Any user
// of a call that timed out may make every call hang that it is in: until a call of theirs is answered they go apart from
// others, and in ever smaller company, so that one user holds up few.
func Apart(users []ledger.Claimed) (calls [][]ledger.Claimed, back []ledger.Claimed) {
	if !slices.ContainsFunc(users, func(u ledger.Claimed) bool { return u.Company > 0 }) {
		return [][]ledger.Claimed{users}, nil
	}
	var others, apart []ledger.Claimed
	company := len(users)
	for _, u := range users {
		switch most := max(1, u.Company/companyShare); {
		case u.Company == 0:
			others = append(others, u)
		case len(apart) < min(company, most):
			company = min(company, most)
			apart = append(apart, u)
		default:
			back = append(back, u)
		}
	}
	if len(others) > 0 {
		calls = append(calls, others)
	}
	return append(calls, apart), back
}
