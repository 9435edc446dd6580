package history

// Losses are all of a run.
type Losses []Loss

// MayHold reports whether a request may be among what was lost: it is ambiguous then, however it was answered. What was
// answered before the lost time began is kept.
func (l Losses) MayHold(r Request) bool {
	for _, loss := range l {
		if r.Began.Before(loss.To) && (!r.Accepted || r.AcceptedAt.After(loss.From)) {
			return true
		}
	}
	return false
}

// Last returns the last of a user's requests that must have been kept, the end of a timed block included, and whether
// there is one.
func (l Losses) Last(requests []Request) (last Request, found bool) {
	for _, r := range withEnds(requests) {
		if l.keeps(r) {
			last, found = r, true
		}
	}
	return last, found
}

// keeps reports whether a request was accepted, cannot be lost, and was not withdrawn.
func (l Losses) keeps(r Request) bool { return r.Accepted && r.Steered.IsZero() && !l.MayHold(r) }
