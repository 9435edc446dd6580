package ledger

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/user"
)

// PokeChannel is the Redis pub/sub channel on which Mark says the phone number ID whose users
// begin to wait, so that an idle worker starts at once. A message that gets lost costs time,
// nothing else: the task that follows is the wake-up that can't get lost.
const PokeChannel = "wablock:poke"

// MaxBatch is how many users one call of a Ledger's method takes.
const MaxBatch = 1000

//go:embed lua/record.lua
var recordLua string

//go:embed lua/version.lua
var versionLua string

//go:embed lua/mark.lua
var markLua string

//go:embed lua/claim.lua
var claimLua string

//go:embed lua/renew.lua
var renewLua string

//go:embed lua/settle.lua
var settleLua string

//go:embed lua/discard.lua
var discardLua string

// scripts are stateless and shared: a Script is a text and its hash.
var (
	versionScript = redis.NewScript(versionLua)
	markScript    = redis.NewScript(recordLua + markLua)
	claimScript   = redis.NewScript(recordLua + claimLua)
	renewScript   = redis.NewScript(recordLua + renewLua)
	settleScript  = redis.NewScript(recordLua + settleLua)
	discardScript = redis.NewScript(recordLua + discardLua)
)

// ErrReply is returned, wrapped, when Redis answers a script with what the script never
// returns: another version of wablock, or another program, wrote the keys.
var ErrReply = errors.New("unexpected reply of a script")

// Ledger is the ledger of one phone number ID. It holds no state but its keys: make one
// wherever it is needed. Safe for concurrent use.
type Ledger struct {
	rdb           redis.UniversalClient
	phoneNumberID string
	versionKey    string
	keys          []string
}

// New returns the ledger of phoneNumberID in rdb, which stays the caller's to close.
func New(rdb redis.UniversalClient, phoneNumberID string) *Ledger {
	prefix := "wablock:{" + phoneNumberID + "}:"
	keys := []string{prefix + "users", prefix + "later"}
	for _, q := range Queues() {
		for _, o := range []Operation{Block, Unblock} {
			keys = append(keys, prefix+"waiting:"+string(q)+":"+string(o))
		}
	}
	return &Ledger{rdb: rdb, phoneNumberID: phoneNumberID, versionKey: prefix + "version", keys: keys}
}

// PhoneNumberID returns whose ledger it is.
func (l *Ledger) PhoneNumberID() string { return l.phoneNumberID }

// NextVersion gives out the version of a new request.
func (l *Ledger) NextVersion(ctx context.Context) (Version, error) {
	v, err := versionScript.Run(ctx, l.rdb, []string{l.versionKey}).Int64()
	if err != nil {
		return 0, fmt.Errorf("ledger: next version: %w", err)
	}
	return Version(v), nil
}

// Mark writes down each request that is newer than what the ledger holds for its user, and
// returns where each request stands, in the order given. Marking what is marked already
// changes nothing, so Mark is also how a task looks at its users. It takes at most MaxBatch
// requests; runs of requests that share everything but the user cost least.
func (l *Ledger) Mark(ctx context.Context, requests []Request) ([]State, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	if len(requests) > MaxBatch {
		return nil, fmt.Errorf("ledger: mark: %d requests, at most %d go at once", len(requests), MaxBatch)
	}
	args := make([]any, 0, len(requests)+6)
	args = append(args, PokeChannel, l.phoneNumberID)
	for len(requests) > 0 {
		n := run(requests)
		r := requests[0]
		args = append(args, r.Operation.letter(), r.Queue.letter(), int64(r.Version), n)
		for _, r := range requests[:n] {
			args = append(args, r.User.Reveal())
		}
		requests = requests[n:]
	}
	letters, err := markScript.Run(ctx, l.rdb, l.keys, args...).Text()
	if err != nil {
		return nil, fmt.Errorf("ledger: mark: %w", err)
	}
	return statesOf(letters), nil
}

// run returns how many of the first requests share everything but the user.
func run(requests []Request) int {
	first := requests[0]
	for i, r := range requests {
		first.User = r.User
		if r != first {
			return i
		}
	}
	return len(requests)
}

func statesOf(letters string) []State {
	states := make([]State, len(letters))
	for i := range letters {
		states[i] = State(letters[i])
	}
	return states
}

// Claimed is one user of a Claim.
type Claimed struct {
	User     user.ID
	Version  Version
	Attempts int // used up so far, at this version
}

// Claim is the right to make one call for some users. It is lost at its deadline.
type Claim struct {
	ID        string
	Operation Operation
	Users     []Claimed
	// Backlog is what was left after the claim.
	Backlog Backlog
}

// ClaimOptions bound a claim. ID and Max are required.
type ClaimOptions struct {
	// ID must never have been used before, by any process.
	ID string
	// Max is how many users the call can carry, at most MaxBatch.
	Max int
	// Hold is the time until the deadline; it must outlast the call.
	Hold time.Duration
	// Only restricts the claim to one operation; "" allows both.
	Only Operation
}

// Claim takes the users that wait longest, of one operation, interactive ones first, and
// fills the call with the same operation's users of the queues behind. Without anyone to
// claim the result has no users, and its Backlog tells when to come again.
func (l *Ledger) Claim(ctx context.Context, o ClaimOptions) (Claim, error) {
	ops := "bu"
	if o.Only != "" {
		ops = o.Only.letter()
	}
	reply, err := claimScript.Run(ctx, l.rdb, l.keys, o.ID, min(o.Max, MaxBatch), o.Hold.Milliseconds(), ops).Slice()
	if err != nil {
		return Claim{}, fmt.Errorf("ledger: claim: %w", err)
	}
	return parseClaim(o.ID, reply)
}

const claimHeader = 6

func parseClaim(id string, reply []any) (Claim, error) {
	if len(reply) < claimHeader || len(reply)%3 != 0 {
		return Claim{}, fmt.Errorf("ledger: claim: %w", ErrReply)
	}
	op, _ := reply[0].(string)
	var n [5]int64
	for i := range n {
		n[i], _ = reply[i+1].(int64)
	}
	c := Claim{ID: id, Backlog: Backlog{Interactive: int(n[0]), Bulk: int(n[1]), Reconcile: int(n[2]), Later: int(n[3])}}
	c.Backlog.NextDue = time.Duration(n[4]) * time.Millisecond
	if op == "" {
		return c, nil
	}
	c.Operation = operationOf(op)
	c.Users = make([]Claimed, 0, (len(reply)-claimHeader)/3)
	for i := claimHeader; i < len(reply); i += 3 {
		u, err := parseClaimed(reply[i], reply[i+1], reply[i+2])
		if err != nil {
			return Claim{}, fmt.Errorf("ledger: claim: %w", err)
		}
		c.Users = append(c.Users, u)
	}
	return c, nil
}

func parseClaimed(name, version, attempts any) (Claimed, error) {
	n, _ := name.(string)
	id, err := user.FromCanonical(n)
	if err != nil {
		return Claimed{}, fmt.Errorf("%w: %w", ErrReply, err)
	}
	v, _ := version.(string)
	ver, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return Claimed{}, ErrReply
	}
	a, _ := attempts.(int64)
	return Claimed{User: id, Version: Version(ver), Attempts: int(a)}, nil
}

// Renew keeps users of a claim for one more call, until hold from now. It returns one state
// per user: InFlight when it is kept; Superseded when a newer request was marked, in which
// case it waits; Unknown when the claim was lost.
func (l *Ledger) Renew(ctx context.Context, claimID string, users []Claimed, hold time.Duration) ([]State, error) {
	if len(users) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 2+2*len(users))
	args = append(args, claimID, hold.Milliseconds())
	for _, u := range users {
		args = append(args, u.User.Reveal(), int64(u.Version))
	}
	letters, err := renewScript.Run(ctx, l.rdb, l.keys, args...).Text()
	if err != nil {
		return nil, fmt.Errorf("ledger: renew: %w", err)
	}
	return statesOf(strings.ReplaceAll(letters, "l", "\x00")), nil
}

// Verdict is what is to become of a user after a call.
type Verdict byte

// The verdicts.
const (
	Succeed Verdict = 's'
	Retry   Verdict = 'r' // wait for Delay, with an attempt used up
	Wait    Verdict = 'w' // wait for Delay, with none used up
	Kill    Verdict = 'd' // dead: failed for good, an attempt used up
)

// Settlement is the verdict on one user of a claim.
type Settlement struct {
	User    user.ID
	Version Version // as it was claimed
	Verdict Verdict
	Delay   time.Duration // of Retry and Wait; below a millisecond is none
	WaID    string        // as the API told it; "" leaves what is known
	Failure *Failure      // of Retry, Wait and Kill; nil leaves the last one
}

// Settled is what the ledger made of a Settlement.
type Settled struct {
	// State is Succeeded, Dead or Waiting; Superseded when a newer request waits now; Unknown
	// when the claim was lost, so that nothing was written.
	State         State
	Attempts      int
	FirstFailedAt time.Time // zero for never
}

// Settle ends the flight of users of a claim, and returns what became of each, in order.
func (l *Ledger) Settle(ctx context.Context, claimID string, settlements []Settlement) ([]Settled, error) {
	if len(settlements) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 1+6*len(settlements))
	args = append(args, claimID)
	for _, s := range settlements {
		failure, err := s.Failure.encode()
		if err != nil {
			return nil, fmt.Errorf("ledger: settle: %w", err)
		}
		args = append(args, s.User.Reveal(), int64(s.Version), string(s.Verdict),
			s.Delay.Milliseconds(), word(s.WaID), failure)
	}
	replies, err := settleScript.Run(ctx, l.rdb, l.keys, args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("ledger: settle: %w", err)
	}
	if len(replies) != len(settlements) {
		return nil, fmt.Errorf("ledger: settle: %w", ErrReply)
	}
	settled := make([]Settled, len(replies))
	for i, r := range replies {
		if settled[i], err = parseSettled(r); err != nil {
			return nil, fmt.Errorf("ledger: settle: %w", err)
		}
	}
	return settled, nil
}

func (f *Failure) encode() (string, error) {
	if f == nil {
		return "", nil
	}
	b, err := json.Marshal(f)
	return string(b), err
}

// word returns s if it can be one word of a record, else "".
func word(s string) string {
	if strings.ContainsAny(s, " \t\r\n\v\f\x00") || len(s) > 200 {
		return ""
	}
	return s
}

func parseSettled(reply string) (Settled, error) {
	words := strings.Fields(reply)
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
	s := Settled{State: State(words[0][0]), Attempts: attempts, FirstFailedAt: first}
	if s.State == 'l' {
		s.State = Unknown
	}
	return s, nil
}

// milliTime reads Unix milliseconds; "0" is the zero time.
func milliTime(s string) (time.Time, error) {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, ErrReply
	}
	if ms == 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(ms), nil
}

// Discard takes note that an operator has let a dead user go: no task brings it back into the
// dead-letter queue. It reports whether the user was dead at this version.
func (l *Ledger) Discard(ctx context.Context, id user.ID, v Version) (bool, error) {
	n, err := discardScript.Run(ctx, l.rdb, l.keys, id.Reveal(), int64(v)).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: discard: %w", err)
	}
	return n == 1, nil
}
