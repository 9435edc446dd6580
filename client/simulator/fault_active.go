package simulator

import (
	"math/rand/v2"
	"slices"
)

// fault is one Fault at work, with its counts.
type fault struct {
	Fault
	users map[string]bool // canonical forms of Users; nil for all
	seen  int
	hits  int
}

func newFaults(fs []Fault) []*fault {
	out := make([]*fault, len(fs))
	for i, f := range fs {
		out[i] = &fault{Fault: f}
		if len(f.Users) > 0 {
			out[i].users = make(map[string]bool, len(f.Users))
			for _, u := range f.Users {
				key, _ := canonical(u)
				out[i].users[key] = true
			}
		}
	}
	return out
}

// matchesCall reports whether the call is of the kind that the fault is about.
func (f *fault) matchesCall(op Operation, id string, cursor bool) bool {
	return (len(f.Operations) == 0 || slices.Contains(f.Operations, op)) &&
		(len(f.PhoneNumberIDs) == 0 || slices.Contains(f.PhoneNumberIDs, id)) &&
		(!f.WithCursor || cursor)
}

// carries reports whether the call holds a user that the fault is about.
func (f *fault) carries(users []person) bool {
	return f.users == nil || slices.ContainsFunc(users, func(p person) bool { return f.users[p.name] })
}

// fires counts one more match and reports whether it is hit.
func (f *fault) fires(rng *rand.Rand) bool {
	f.seen++
	switch {
	case f.seen <= f.Skip,
		(f.seen-f.Skip)%f.Every != 0,
		f.Times > 0 && f.hits >= f.Times,
		f.Probability < 1 && rng.Float64() >= f.Probability:
		return false
	}
	f.hits++
	return true
}
