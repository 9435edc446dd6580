package verdict

import (
	"slices"

	"github.com/wablock/wablock/tasks/ledger"
)

// companyShare is the part of a call that timed out that goes into one call again.
const companyShare = 16

// Apart parts the users of a claim into those of its calls, one after the other, and those that go back in line. Any user
// of a call that timed out may make every call hang that it is in: until a call of theirs is answered they go apart from
// others, and in ever smaller company, so that one user holds up few. Probe reports that the first call is to find out
// whether a rate limit's pause is over. Any user of the call that began the pause may be the one that the API always
// limits, so it goes without them, or with the one of them that was not limited for the longest time.
func Apart(users []ledger.Claimed, probe bool) (calls [][]ledger.Claimed, back []ledger.Claimed) {
	users, apart, back := timedOutApart(users)
	if probe {
		calls = probeApart(users)
	} else {
		calls = [][]ledger.Claimed{users}
	}
	calls = append(calls, apart)
	return slices.DeleteFunc(calls, func(c []ledger.Claimed) bool { return len(c) == 0 }), back
}

// Parts parts the users of a call that failed as a whole: in those that were not limited before and those that were, or
// else in halves.
func Parts(users []ledger.Claimed) (first, second []ledger.Claimed) {
	fresh, limited := limitedApart(users)
	if len(fresh) == 0 || len(limited) == 0 {
		return users[:len(users)/2], users[len(users)/2:]
	}
	return fresh, limited
}

func limitedApart(users []ledger.Claimed) (fresh, limited []ledger.Claimed) {
	for _, u := range users {
		if u.Limited == 0 {
			fresh = append(fresh, u)
		} else {
			limited = append(limited, u)
		}
	}
	return fresh, limited
}

func probeApart(users []ledger.Claimed) [][]ledger.Claimed {
	fresh, limited := limitedApart(users)
	if len(fresh) > 0 || len(limited) == 0 {
		return [][]ledger.Claimed{fresh, limited}
	}
	first := 0
	for i, u := range limited {
		if u.Limited < limited[first].Limited {
			first = i
		}
	}
	one := limited[first]
	return [][]ledger.Claimed{{one}, slices.Delete(limited, first, first+1)}
}

func timedOutApart(users []ledger.Claimed) (others, apart, back []ledger.Claimed) {
	if !slices.ContainsFunc(users, func(u ledger.Claimed) bool { return u.Company > 0 }) {
		return users, nil, nil
	}
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
	return others, apart, back
}
