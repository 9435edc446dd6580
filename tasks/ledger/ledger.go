package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/user"
)

// MaxBatch bounds the users that one call of a Ledger's method takes.
const MaxBatch = 1000

// MaxWait bounds every time until which a user waits or is in flight, and every Freeze. A time that
// is further ahead was written before Redis's clock was set back, and counts no more.
const MaxWait = 15 * time.Minute

// Ledger is the ledger of one phone number ID. It holds no state but its keys: make one
// wherever it is needed. Safe for concurrent use.
type Ledger struct {
	rdb           redis.UniversalClient
	phoneNumberID string
	versionKey    string
	freezeKey     string
	deadKey       string
	namesKey      string
	personsKey    string
	endsKey       string // of the users with a timed block
	countsKey     string // of the jobs' counts
	jobsPrefix    string // of what is kept of jobs
	claimsKey     string // of the claims, by their deadlines
	takenKey      string // of the calls whose claims were taken over
	keys          []string
}

// Where the keys of a Ledger stand; all of them go with each script.
const (
	keyUsers = iota
	keyLater
	keyWaiting // the first of six
)

// New returns the ledger of phoneNumberID in rdb, which stays the caller's to close.
func New(rdb redis.UniversalClient, phoneNumberID string) *Ledger {
	prefix := "wablock:{" + phoneNumberID + "}:"
	keys := []string{UsersKey(phoneNumberID), prefix + "later"}
	for _, q := range Queues() {
		for _, o := range []Operation{Block, Unblock} {
			keys = append(keys, prefix+"waiting:"+string(q)+":"+string(o))
		}
	}
	return &Ledger{
		rdb: rdb, phoneNumberID: phoneNumberID, versionKey: prefix + "version", freezeKey: prefix + "hold", deadKey: DeadKey(phoneNumberID),
		namesKey: NamesKey(phoneNumberID), personsKey: prefix + "persons", endsKey: prefix + "ends", countsKey: prefix + "jobs:counts", jobsPrefix: prefix + "jobs", claimsKey: prefix + "claims", takenKey: prefix + "taken", keys: keys,
	}
}

// UsersKey returns the key of the hash of a phone number ID's records: it exists once users were asked for.
func UsersKey(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:users" }

// DeadKey returns the key of the set of a phone number ID's users who may have a dead letter:
// Settle puts those in who die, and the dead-letter queue takes them out.
func DeadKey(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:dead" }

// NamesKey returns the key of the hash of a phone number ID's names: by wa_id, the names that the API takes for it.
// See lua/names.lua.
func NamesKey(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:names" }

// PauseKey returns the key that stops one operation of a phone number ID while it exists, or of all ("").
// Claim holds to those of its own phone number ID; those for all may be in another slot of a cluster, and are the
// caller's to look at.
func PauseKey(phoneNumberID string, op Operation) string {
	if phoneNumberID == "" {
		phoneNumberID = "all" // which is no phone number ID: those are digits
	}
	return "wablock:{" + phoneNumberID + "}:pause:" + string(op)
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

// Discard takes note that an operator has let a dead user go: no task brings it back into the
// dead-letter queue. It reports whether the user was dead at this version.
func (l *Ledger) Discard(ctx context.Context, id user.ID, v Version) (bool, error) {
	n, err := discardScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.personsKey), id.Reveal(), int64(v)).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: discard: %w", err)
	}
	return n == 1, nil
}

// run returns how many of the first items are alike.
func run[T any](items []T, alike func(a, b *T) bool) int {
	for i := range items {
		if !alike(&items[0], &items[i]) {
			return i
		}
	}
	return len(items)
}

func checkBatch(n int) error {
	if n > MaxBatch {
		return fmt.Errorf("%w: %d users, at most %d go at once", ErrInvalid, n, MaxBatch)
	}
	return nil
}

// isWord reports whether s can be one word of a record, and stands for itself there.
func isWord(s string) bool {
	return s != "" && s != "-" && len(s) <= 200 && !strings.ContainsAny(s, " \t\r\n\v\f\x00")
}

// milliTime reads Unix milliseconds; "0" is the zero time.
func milliTime(s string) (time.Time, error) {
	if s == "0" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, ErrReply
	}
	return time.UnixMilli(ms), nil
}
