package heard

import "time"

// Requester and Reason are those of requests that are made because a user has written, unless the first one gave a reason.
const (
	Requester = "heard"
	Reason    = "the user has written"
)

// Refusal is a block that failed because its user had not written (131047).
type Refusal struct {
	At time.Time
	// Parked marks one that was refused by no call, since the user's window was known to be closed.
	Parked bool
	// Ends is the time at which a timed block ends; zero for none.
	Ends time.Time
}

// grace is the time by which a message that came after the refusal may be dated before it: times of messages are in
// whole seconds and of Meta's clock, and a refusal counts from the end of its call. One try too many costs a
// call, one too few leaves a user unblocked.
const grace = 30 * time.Second

// Revivable reports whether the block is to be asked for again, as its user wrote at a time. For a parked one each message
// counts, also one that was told of late.
func (r Refusal) Revivable(wrote, now time.Time) bool {
	return (r.Parked || !wrote.Before(r.At.Add(-grace))) && now.Sub(wrote) < Window &&
		(r.Ends.IsZero() || r.Ends.After(now.Add(2*Every))) // else the block ends before it is worth a call
}
