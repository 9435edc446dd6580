package simulator

import (
	"cmp"
	"math"
	"slices"
)

// Overlap is one user who was in two calls at once.
type Overlap struct {
	PhoneNumberID string
	User          string
	First, Second int64 // Call.Seq; Second began before First had ended
}

// Overlaps finds every user that two block or unblock calls to one phone number ID held at the
// same time, ordered by the second call. A call still in flight has not ended. A call that its
// client gave up ends when the server notices, so a client that goes on at once may overlap
// with itself by a moment.
func Overlaps(calls []Call) []Overlap {
	sorted := slices.Clone(calls)
	slices.SortFunc(sorted, func(a, b Call) int { return cmp.Compare(a.Begun, b.Begun) })
	type holder struct{ phoneNumberID, user string }
	type held struct{ until, seq, newest int64 }
	last := map[holder]held{} // the call that holds the user longest, of those begun so far
	var found []Overlap
	for _, c := range sorted {
		until := c.Ended
		if until == 0 {
			until = math.MaxInt64
		}
		for _, u := range c.Users {
			h := holder{c.PhoneNumberID, u.User}
			before, ok := last[h]
			if ok && before.newest == c.Seq {
				continue // twice in one call
			}
			if ok && c.Begun < before.until {
				found = append(found, Overlap{c.PhoneNumberID, u.User, before.seq, c.Seq})
			}
			if !ok || until > before.until {
				before.until, before.seq = until, c.Seq
			}
			before.newest = c.Seq
			last[h] = before
		}
	}
	return found
}
