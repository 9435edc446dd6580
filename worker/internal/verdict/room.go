package verdict

import (
	"time"

	"github.com/wablock/wablock/tasks/ledger"
)

// TrialEvery is the least time between trials whether a full list has room, of all workers.
const TrialEvery = 5 * time.Second

const roomLongest = 30 * time.Minute // between trials that nothing asked for

// room counts the blocks that may go out although the blocklist was full. The breaker
// guards it.
type room struct {
	full    bool
	wasFull bool // once: blocks that are refused again wait
	// places were observed to be free and are not taken yet: users that were unblocked, and twice
	// as many as the blocks that succeeded since.
	places int
	// trial is for one block now and then, without a sign of room.
	trial     backoff
	wanted    bool           // something asks for a trial
	newest    ledger.Version // of the requests for blocks, whichever clock they came by
	trying    bool
	refusedAt time.Time // when a block was refused last
	since     time.Time // that it is full
	code      int       // with which blocks are refused
}

func (r *room) admit(now time.Time) Admission {
	switch {
	case !r.full:
		return Admission{}
	case r.trying || now.Before(r.refusedAt.Add(TrialEvery)):
	case r.places > 0:
		a := Admission{Max: r.places, Only: ledger.Block, Room: true, places: r.places}
		r.places, r.trying = 0, true
		return a
	case r.wanted || !now.Before(r.trial.until):
		r.trying = true
		return Admission{Max: 1, Only: ledger.Block, Room: true}
	}
	return Admission{Only: ledger.Unblock}
}

// release takes back an admission of which so many places were used.
func (r *room) release(a Admission, used int) {
	if !a.Room {
		return
	}
	r.trying = false
	if r.full {
		r.places = min(r.places+max(0, a.places-used), ledger.MaxBatch)
	}
}

func (r *room) report(a Admission, op ledger.Operation, users int, v Verdict, now time.Time) {
	r.release(a, users)
	switch {
	case v.Full:
		if a.Room && a.places == 0 && !r.wanted || !r.full {
			r.trial.next(now, TrialEvery, roomLongest)
		} else {
			r.trial.until = now.Add(r.trial.delay)
		}
		if a.Room || !r.full {
			r.places = 0
		}
		if a.Room {
			r.wanted = false
		}
		if !r.full {
			r.since = now
		}
		r.full, r.wasFull, r.refusedAt, r.code = true, true, now, v.Code
	case !r.full || v.Succeeded == 0:
	case op == ledger.Unblock:
		r.places = min(r.places+v.Succeeded, ledger.MaxBatch)
	case a.Room:
		r.trial, r.refusedAt, r.wanted = backoff{delay: TrialEvery, until: now.Add(TrialEvery)}, time.Time{}, false
		r.places = min(r.places+2*v.Succeeded, ledger.MaxBatch)
		r.full = 2*v.Succeeded < ledger.MaxBatch
	}
}

// wait returns the time until the next trial without a sign of room.
func (r *room) wait(now time.Time) time.Duration {
	at := r.trial.until
	if r.wanted {
		at = time.Time{}
	}
	if spaced := r.refusedAt.Add(TrialEvery); at.Before(spaced) {
		at = spaced
	}
	return max(0, at.Sub(now))
}
