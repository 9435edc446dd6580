package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Disposition decides the state of a user after a call.
type Disposition byte

// The dispositions.
const (
	Succeed Disposition = 's'
	Retry   Disposition = 'r' // wait for Delay, with an attempt used up
	Wait    Disposition = 'w' // wait for Delay, with none used up
	Kill    Disposition = 'd' // dead: failed for good, an attempt used up
)

// Valid reports whether d is one of them.
func (d Disposition) Valid() bool { return d == Succeed || d == Retry || d == Wait || d == Kill }

// Settlement is the disposition of one user of a claim, with what goes with it.
type Settlement struct {
	User    user.ID
	Version Version // as it was claimed
	Do      Disposition
	Delay   time.Duration // of Retry and Wait; below a millisecond is none
	WaID    string        // as the API told it; "" leaves what is known
	Failure *Failure      // of Retry, Wait and Kill; nil leaves the last one
	// Effect is the operation that the call has carried out on the user, or may have; "" if it
	// certainly has not. It counts when the claim was lost.
	Effect Operation
}

// Settled is the result of a Settlement.
type Settled struct {
	// State is Succeeded, Dead or Waiting; Superseded when a newer request waits now; Unknown
	// when the claim was lost, so that nothing was written. When the claim was lost and the
	// user has ended at this version all the same, State says so: another claim ended it, or
	// the first try of a Settle whose reply got lost.
	State         State
	Attempts      int
	FirstFailedAt time.Time // zero for never
	// Repeats is set when the claim was lost, and the call may have undone what another call did
	// for the record's request since: that request waits again, for one more call. It is set as
	// well when that holds for a newer request under another name of the same person, lost or not.
	Repeats bool
}

// Settle ends the flight of users of a claim, and returns what became of each, in order. It
// takes at most MaxBatch users, each once; neighbours with equal verdicts cost least.
func (l *Ledger) Settle(ctx context.Context, claimID string, settlements []Settlement) ([]Settled, error) {
	if len(settlements) == 0 {
		return nil, nil
	}
	args, err := settleArgs(claimID, settlements)
	if err != nil {
		return nil, fmt.Errorf("ledger: settle: %w", err)
	}
	text, err := settleScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.deadKey, l.namesKey, l.personsKey, l.countsKey), args...).Text()
	if err != nil {
		return nil, fmt.Errorf("ledger: settle: %w", err)
	}
	settled := make([]Settled, 0, len(settlements))
	for line := range strings.SplitSeq(text, "\n") {
		s, err := parseSettled(line)
		if err != nil {
			return nil, fmt.Errorf("ledger: settle: %w", err)
		}
		settled = append(settled, s)
	}
	if len(settled) != len(settlements) {
		return nil, fmt.Errorf("ledger: settle: %w", ErrReply)
	}
	return settled, nil
}

func settleArgs(claimID string, settlements []Settlement) ([]any, error) {
	if err := checkBatch(len(settlements)); err != nil {
		return nil, err
	}
	args := make([]any, 0, 6+3*len(settlements))
	args = append(args, claimID)
	for len(settlements) > 0 {
		n := run(settlements, (*Settlement).sameButUser)
		s := settlements[0]
		if !s.Do.Valid() {
			return nil, fmt.Errorf("%w: a settlement without a verdict", ErrInvalid)
		}
		failure, err := s.Failure.encode()
		if err != nil {
			return nil, err
		}
		args = append(args, string(s.Do), s.Delay.Milliseconds(), failure, s.Effect.letter(), n)
		for _, s := range settlements[:n] {
			waID := s.WaID
			if !isWord(waID) {
				waID = ""
			}
			args = append(args, s.User.Reveal(), int64(s.Version), waID)
		}
		settlements = settlements[n:]
	}
	return args, nil
}

func (s *Settlement) sameButUser(other *Settlement) bool {
	return s.Do == other.Do && s.Delay == other.Delay && s.Failure == other.Failure && s.Effect == other.Effect
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

func parseSettled(line string) (Settled, error) {
	if line == "s 0 0" {
		return Settled{State: Succeeded}, nil
	}
	words := strings.Fields(line)
	if len(words) != 3 || len(words[0]) != 1 {
		return Settled{}, ErrReply
	}
	attempts, err := strconv.Atoi(words[1])
	if err != nil {
		return Settled{}, ErrReply
	}
	first, err := milliTime(words[2])
	if err != nil {
		return Settled{}, err
	}
	letter := strings.ToLower(words[0])
	s := Settled{State: State(letter[0]), Attempts: attempts, FirstFailedAt: first, Repeats: letter != words[0]}
	if s.State == 'l' {
		s.State = Unknown
	}
	return s, nil
}
