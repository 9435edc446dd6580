package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Claimed is one user of a Claim.
type Claimed struct {
	User     user.ID
	Version  Version
	Attempts int // used up so far, at this version
	Company  int // of the user's last failure, else 0: it goes apart from others

	// Limited and Paused are those of the user's last failure, else 0.
	Limited, Paused int64
}

// Claim is the right to make one call for some users. It is lost at its deadline.
type Claim struct {
	ID        string
	Operation Operation
	Users     []Claimed
	// Backlog counts the users that were left after the claim.
	Backlog Backlog
	// Unreadable counts users that were claimed under names that this program cannot read,
	// and that are therefore not in Users: another program, or a newer one, wrote them.
	Unreadable int
	// Resting counts the users that rest because of [ClaimOptions.Rest], or that [Ledger.TakeOver] keeps back. As long
	// as there are any, others may stand behind them in line.
	Resting int
}

// ClaimOptions bound a claim. ID and Timeout are required.
type ClaimOptions struct {
	// ID is that of no other claim, by any process, ever. Up to 200 bytes, no spaces.
	ID string
	// Max bounds the users of the call, at most MaxBatch. Zero claims none.
	Max int
	// Timeout is the time until the deadline, at most MaxWait; it must outlast the call.
	Timeout time.Duration
	// Only restricts the claim to one operation; "" allows both.
	Only Operation
	// Oldest chooses the operation of the user that waits longest in any queue, instead of in the first
	// queue that has any. A caller that asks for it now and then lets no stream of interactive blocks starve bulk unblocks.
	Oldest bool
	// Rest, if positive, asks for a user of which no attempt is used up. Users that were tried go along with
	// one; without one, those that stand in front of others in line rest for so long. It is at most MaxWait.
	Rest time.Duration
}

// Claim takes the users that wait longest, of one operation (see [ClaimOptions.Oldest]), interactive ones first, and
// fills the call with the same operation's users of the queues behind. Without anyone to
// claim, or under a [Ledger.Freeze] or a pause, the result has no users, and its Backlog tells when to come
// again.
//
// When a reply gets lost, the users that it named are in flight under this ID until the deadline. Until
// then a claim may be repeated under its ID: it then names, whatever the other options say,
// the users that it took and still holds, and changes nothing, the deadline included. It leaves out those
// that are wanted in a newer version by now; they wait from the deadline on.
func (l *Ledger) Claim(ctx context.Context, o ClaimOptions) (Claim, error) {
	if err := o.validate(); err != nil {
		return Claim{}, fmt.Errorf("ledger: claim: %w", err)
	}
	ops := "bu"
	if o.Only != "" {
		ops = o.Only.letter()
	}
	keys := append(slices.Clone(l.keys), l.freezeKey, l.claimsKey, l.takenKey, PauseKey(l.phoneNumberID, Block), PauseKey(l.phoneNumberID, Unblock))
	for run := range sweeps + 1 {
		reply, err := claimScript.Run(ctx, l.rdb, keys, o.ID, min(o.Max, MaxBatch), o.Timeout.Milliseconds(), ops, o.Oldest, o.rest(), run == sweeps).Slice()
		if err != nil {
			return Claim{}, fmt.Errorf("ledger: claim: %w", err)
		}
		c, err := parseClaim(reply)
		if err != nil {
			return Claim{}, fmt.Errorf("ledger: claim: %w", err)
		}
		if c.Resting >= 0 {
			c.ID = o.ID
			return c, nil
		}
	}
	return Claim{}, fmt.Errorf("ledger: claim: %w", ErrReply)
}

// sweeps is the number of runs of the script that may put users in line again before one claims: twice a call's worth,
// so that claims catch up with any number of the due, and no run holds Redis up for long.
const sweeps = 2

func (o ClaimOptions) validate() error {
	switch {
	case !isWord(o.ID):
		return fmt.Errorf("%w: the ID of a claim must be one word", ErrInvalid)
	case o.Timeout < time.Millisecond || o.Timeout > MaxWait:
		return fmt.Errorf("%w: a claim that ends at once, or after more than %v", ErrInvalid, MaxWait)
	case o.Rest > MaxWait:
		return fmt.Errorf("%w: a rest of more than %v", ErrInvalid, MaxWait)
	case o.Only != "" && !o.Only.Valid():
		return fmt.Errorf("%w: a claim for an operation that does not exist", ErrInvalid)
	}
	return nil
}

// rest returns Rest in ms, at least one where it is positive.
func (o ClaimOptions) rest() int64 {
	if o.Rest <= 0 {
		return 0
	}
	return max(1, o.Rest.Milliseconds())
}

func parseClaim(reply []any) (Claim, error) {
	if len(reply) != tallySize+3 {
		return Claim{}, ErrReply
	}
	backlog, err := parseTally(reply[:tallySize])
	if err != nil {
		return Claim{}, err
	}
	op, isText := reply[tallySize].(string)
	text, isText2 := reply[tallySize+1].(string)
	resting, isCount := reply[tallySize+2].(int64)
	if !isText || !isText2 || !isCount {
		return Claim{}, ErrReply
	}
	c := Claim{Backlog: backlog, Resting: int(resting)}
	if op == "" {
		return c, nil
	}
	c.Operation = operationOf(op)
	c.Users = make([]Claimed, 0, strings.Count(text, "\n")+1)
	for line := range strings.SplitSeq(text, "\n") {
		if u, ok := parseClaimed(line); ok {
			c.Users = append(c.Users, u)
		} else {
			c.Unreadable++
		}
	}
	return c, nil
}

// parseClaimed reads "user version attempts company limited paused", from the right: the user's name is what another
// program may have got wrong.
func parseClaimed(line string) (Claimed, bool) {
	line, paused := cutLast(line)
	line, limited := cutLast(line)
	line, company := cutLast(line)
	line, attempts := cutLast(line)
	name, version := cutLast(line)
	id, err := user.FromCanonical(name)
	if err != nil {
		return Claimed{}, false
	}
	v, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return Claimed{}, false
	}
	a, err := strconv.Atoi(attempts)
	if err != nil {
		return Claimed{}, false
	}
	c := Claimed{User: id, Version: Version(v), Attempts: a}
	var errs [3]error
	c.Company, errs[0] = strconv.Atoi(company)
	c.Limited, errs[1] = strconv.ParseInt(limited, 10, 64)
	c.Paused, errs[2] = strconv.ParseInt(paused, 10, 64)
	return c, errors.Join(errs[:]...) == nil
}

// cutLast cuts s at its last space.
func cutLast(s string) (before, after string) {
	if i := strings.LastIndexByte(s, ' '); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

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
