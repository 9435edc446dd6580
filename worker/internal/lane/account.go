package lane

import (
	"sync"
	"time"

	"github.com/wablock/wablock/ratelimit"
)

// account remembers, for this worker's phone number IDs of one business account, which of them were served. Safe for
// concurrent use.
type account struct {
	mu sync.Mutex
	// last is the phone number ID that was served last, other the last one before that is another.
	last, other servedID
	// limited are those that were limited for the account since they were served last, since the first time.
	limited map[string]time.Time
}

type servedID struct {
	id string
	at time.Time
}

// attribute takes in the observation of a call, and returns it as it is to be understood: a limit that the API states for the
// account is the phone number ID's own, if others of the account were served since it was limited so first, and itself was
// not.
func (a *account) attribute(id string, o ratelimit.Observation, now time.Time) ratelimit.Observation {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch first, again := a.limited[id]; {
	case o.Users == 0: // list calls may be served where those with users are not
	case o.Served:
		delete(a.limited, id)
		if a.last.id != id {
			a.other = a.last
		}
		a.last = servedID{id, now}
	case o.Account && !again:
		if a.limited == nil {
			a.limited = map[string]time.Time{}
		}
		a.limited[id] = now
	case o.Account:
		o.Account = !a.servedBeside(id, first)
	}
	return o
}

// limits reports whether a phone number ID was limited for the account since it was served last.
func (a *account) limits(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, limited := a.limited[id]
	return limited
}

// servedBeside reports whether another phone number ID was served after a time. It requires mu held.
func (a *account) servedBeside(id string, since time.Time) bool {
	beside := a.last
	if beside.id == id {
		beside = a.other
	}
	return beside.at.After(since)
}
