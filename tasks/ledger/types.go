package ledger

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Operation names the change that is wanted for a user.
type Operation string

// The operations of the Block Users API. The zero Operation is invalid.
const (
	Block   Operation = "block"
	Unblock Operation = "unblock"
)

func (o Operation) letter() string { return string(o[:min(1, len(o))]) }

// Valid reports whether o is Block or Unblock.
func (o Operation) Valid() bool { return o == Block || o == Unblock }

func operationOf(letter string) Operation {
	if letter == "b" {
		return Block
	}
	return Unblock
}

// Queue orders what waits: everything in Interactive goes before anything in Bulk, and that
// before Reconcile. They are asynq's queues of the same names.
type Queue string

// The queues, first the one that is served first.
const (
	Interactive Queue = "interactive"
	Bulk        Queue = "bulk"
	Reconcile   Queue = "reconcile"
)

// Queues lists them in the order in which they are served.
func Queues() []Queue { return []Queue{Interactive, Bulk, Reconcile} }

// Valid reports whether q is one of Queues.
func (q Queue) Valid() bool { return q == Interactive || q == Bulk || q == Reconcile }

func (q Queue) letter() string { return string(q[:1]) }

func queueOf(letter string) Queue {
	switch letter {
	case "i":
		return Interactive
	case "b":
		return Bulk
	default:
		return Reconcile
	}
}

// Version orders the requests for one phone number ID; the latest wins. It counts
// microseconds since 1970, by Redis's clock, and is never given out twice.
type Version int64

// Time returns when the request was made, as near as the version tells: versions run ahead of
// the clock only while more than a million a second are taken, or after it was set back.
func (v Version) Time() time.Time { return time.UnixMicro(int64(v)) }

// Request is one user of one request.
type Request struct {
	User      user.ID
	Operation Operation
	Queue     Queue
	Version   Version
	// Job holds what a request has of its job; the zero value is a job that is not counted.
	Job JobRef
}

// JobRef holds what a request has of a job that is counted.
type JobRef struct {
	// Counted says that the job's users are counted at the request's version, which must be that of
	// [Ledger.Register].
	Counted bool
	// ID is that of the job. A request is counted at its version only while no job of another ID has it, as one may after a
	// failover that lost versions while the clock was set back. "" is not compared; no record keeps it.
	ID string
	// Text is the digest of who asked and why, "" for none. See [Text.Digest].
	Text string
	// Ends is the time at which a block ends by itself, in Unix milliseconds; 0 for never.
	Ends int64
	// Part says, from 1, which part of the job the requests of one Mark are: all of its users, and
	// in one Mark. 0 for some of the users of a part, or to read where they stand.
	Part int
}

// State is the state of a user, at the version that was asked about.
type State byte

// The states. Superseded and Canceled are states of a request alone.
const (
	Unknown    State = 0
	Waiting    State = 'w'
	InFlight   State = 'f'
	Succeeded  State = 's'
	Dead       State = 'd'
	Discarded  State = 'x' // dead, and an operator has let it go
	Superseded State = 'n' // a newer request was marked
	Canceled   State = 'c' // of a request too: its job was canceled before it went out
)

// Ended reports whether nothing more will happen to the request.
func (s State) Ended() bool {
	return s == Succeeded || s == Dead || s == Discarded || s == Superseded || s == Canceled
}

func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Waiting:
		return "waiting"
	case InFlight:
		return "in flight"
	case Succeeded:
		return "succeeded"
	case Dead:
		return "dead"
	case Discarded:
		return "discarded"
	case Superseded:
		return "superseded"
	case Canceled:
		return "canceled"
	}
	return fmt.Sprintf("State(%d)", byte(s))
}

// Failure is the reason of a failed attempt. Its texts come from the API and hold no phone number.
type Failure struct {
	// Code is the first: settle.lua and stack.lua know it by its place.
	Code      int    `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
	Details   string `json:"details,omitempty"`
	FBTraceID string `json:"fbtrace_id,omitempty"`
	// At is the time of the failure, in Unix milliseconds.
	At int64 `json:"at,omitempty"`
	// Company is the number of users of the call, if it timed out: any one of them may have made it hang. It is 1 for a
	// user that alone is limited again and again.
	Company int `json:"company,omitempty"`
	// Limited is At of a failure that refused the call, or the user, for the rate, and Paused the pause in milliseconds
	// that the API stated for it: where others are served since, a further one is the user's.
	Limited int64 `json:"limited,omitempty"`
	Paused  int64 `json:"paused,omitempty"`
	// Parked says that no call was made, since the API would have refused the user with Code.
	Parked bool `json:"parked,omitempty"`
}

// maxText bounds the texts of a Failure, in bytes: one stands in the record of each user that
// fails, for ever.
const maxText = 1024

func (f *Failure) encode() (string, error) {
	if f == nil {
		return "", nil
	}
	short := *f
	for _, text := range []*string{&short.Message, &short.Details, &short.FBTraceID} {
		if len(*text) > maxText {
			*text = strings.ToValidUTF8((*text)[:maxText], "") + "…"
		}
	}
	b, err := json.Marshal(short)
	return string(b), err
}
