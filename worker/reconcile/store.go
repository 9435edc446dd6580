package reconcile

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/worker/reconcile/source"
)

//go:embed lua/raise.lua
var raiseLua string

var raiseScript = redis.NewScript(raiseLua) // stateless: a text and its hash

// key returns a Redis key of a phone number ID. All but the lease never expire: they are few,
// and hold when the last run was.
func key(phoneNumberID, name string) string {
	return "wablock:{" + phoneNumberID + "}:reconcile:" + name
}

// The names of keys.
const (
	keyLease   = "lease"   // ID of the current run
	keyRuns    = "runs"    // list of Records, the last one first
	keySlot    = "slot"    // by kind: the last slot that was enqueued, in Unix seconds
	keyDone    = "done"    // by kind: sorted set of the last slots that were run to their end
	keyDesired = "desired" // by source: how long the desired list was when it was believed last
	keyUsed    = "used"    // sorted set of the last plans that were approved, by when
	keyGood    = "good"    // Record of the last good run
)

// raise sets a number in Redis unless it is greater already.
func raise(ctx context.Context, rdb redis.UniversalClient, key string, to int64) error {
	return raiseScript.Run(ctx, rdb, []string{key}, to).Err()
}

// number reads a number from Redis, 0 for none.
func number(ctx context.Context, rdb redis.UniversalClient, key string) (int64, error) {
	n, err := rdb.Get(ctx, key).Int64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}

// The bounds of what is known of slots that are done.
const (
	maxDone = 200
	// maxLate is the number of later slots that may be done before a slot is dropped: runs that take
	// longer than their schedule gives them must not pile up for ever.
	maxLate = 60
)

// markDone records that a slot was run to its end.
func markDone(ctx context.Context, p redis.Pipeliner, key string, slot int64) {
	p.ZAdd(ctx, key, redis.Z{Score: float64(slot), Member: slot})
	p.ZRemRangeByRank(ctx, key, 0, -maxDone-1)
}

// isDone reports whether a slot was run to its end, or comes too late to be run.
func isDone(ctx context.Context, rdb redis.UniversalClient, key string, slot int64) (bool, error) {
	var has, later *redis.IntCmd
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		at := strconv.FormatInt(slot, 10)
		has, later = p.ZCount(ctx, key, at, at), p.ZCount(ctx, key, "("+at, "+inf")
		return nil
	})
	if err != nil {
		return false, err
	}
	return has.Val() > 0 || later.Val() >= maxLate, nil
}

// maxRecords bounds the runs that are remembered for each phone number ID.
const maxRecords = 100

// History returns the last runs of a phone number ID, the newest first, at most limit of them.
func History(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, limit int) ([]Record, error) {
	lines, err := rdb.LRange(ctx, key(phoneNumberID, keyRuns), 0, int64(limit)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("reconcile: read history: %w", err)
	}
	records := make([]Record, 0, len(lines))
	for _, line := range lines {
		var r Record
		if json.Unmarshal([]byte(line), &r) == nil { // else a newer program's
			records = append(records, r)
		}
	}
	return records, nil
}

// lastGood returns the last good run, the zero Record when there was none.
func lastGood(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) (r Record, err error) {
	text, err := rdb.Get(ctx, key(phoneNumberID, keyGood)).Bytes()
	if errors.Is(err, redis.Nil) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// remember writes a run down; with a slot, that the slot is done.
func remember(ctx context.Context, rdb redis.UniversalClient, r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("reconcile: write history: %w", err)
	}
	runs := key(r.PhoneNumberID, keyRuns)
	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.LPush(ctx, runs, text)
		p.LTrim(ctx, runs, 0, maxRecords-1)
		if r.Good() {
			p.Set(ctx, key(r.PhoneNumberID, keyGood), text, 0)
		}
		if !r.Slot.IsZero() {
			markDone(ctx, p, doneKey(r.PhoneNumberID, kindRun), r.Slot.Unix())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reconcile: write history: %w", err)
	}
	return nil
}

// lastDesired returns how long the list of a source was when it was believed last, and whether
// it ever was.
func lastDesired(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, s source.Source) (n int, remembered bool, err error) {
	n, err = rdb.HGet(ctx, key(phoneNumberID, keyDesired), s.ID()).Int()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("reconcile: read the last run: %w", err)
	}
	return n, true, nil
}

// believe records the length of a desired list, for the next run to compare.
func believe(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, s source.Source, n int) error {
	if err := rdb.HSet(ctx, key(phoneNumberID, keyDesired), s.ID(), n).Err(); err != nil {
		return fmt.Errorf("reconcile: write the run down: %w", err)
	}
	return nil
}

// maxUsed bounds the approved plans that are remembered for each phone number ID.
const maxUsed = 1000

// wasApproved reports whether a plan was approved and carried out before. Its hash can come
// again: once records are forgotten that were made since, and the same users are on the list
// again.
func wasApproved(ctx context.Context, rdb redis.UniversalClient, phoneNumberID, hash string) (bool, error) {
	err := rdb.ZScore(ctx, key(phoneNumberID, keyUsed), hash).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reconcile: read approvals: %w", err)
	}
	return true, nil
}

// useApproval records that a plan was approved.
func useApproval(ctx context.Context, rdb redis.UniversalClient, phoneNumberID, hash string) error {
	used := key(phoneNumberID, keyUsed)
	_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, used, redis.Z{Score: float64(time.Now().Unix()), Member: hash})
		p.ZRemRangeByRank(ctx, used, 0, -maxUsed-1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reconcile: write the approval down: %w", err)
	}
	return nil
}
