package fleet

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// pulseKey is a hash of the heartbeats of workers that make calls, counted, by the ID that their claims begin with.
const pulseKey = "wablock:workers:pulse"

// numbersKey is a sorted set of the phone number IDs that a worker has begun calls for, by when it told so last.
func numbersKey(worker string) string { return "wablock:worker:" + worker + ":numbers" }

// PulseEvery is the interval of the beats of a [Pulse].
const PulseEvery = time.Second

const (
	pulseSilence = 4 * time.Second         // without a beat, after which a worker is taken for dead
	pulseGap     = 2500 * time.Millisecond // between own beats, from which on nothing is known of others
	pulseKept    = 15 * time.Minute        // that the dead, and their phone number IDs, are remembered: the longest claim
)

// Pulse is the heartbeat of a worker that makes calls. Each worker counts its own up, and watches those of the others:
// one that has not moved for four seconds is that of a worker that is dead, or cut off. It goes by no clock of Redis or of
// another machine. A worker whose own heartbeat fails can tell nothing of others. It is not safe for concurrent use.
type Pulse struct {
	rdb redis.UniversalClient
	id  string
	own time.Time            // of the last beat
	of  map[string]pulseSeen // by worker

	count  int64 // of the last beat that succeeded
	lapsed bool
}

// pulseSeen holds the count of one worker's heartbeat, and when that was seen to change.
type pulseSeen struct {
	count string
	at    time.Time
}

// NewPulse returns the pulse of the worker whose claims' IDs begin with id. It has not beaten.
func NewPulse(rdb redis.UniversalClient, id string) *Pulse {
	return &Pulse{rdb: rdb, id: id, of: map[string]pulseSeen{}}
}

// Beat counts the heartbeat up, in one round trip, and returns the workers whose heartbeats are missing, in order.
func (p *Pulse) Beat(ctx context.Context, now time.Time) (silent []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, PulseEvery)
	defer cancel()
	pipe := p.rdb.Pipeline()
	count := pipe.HIncrBy(ctx, pulseKey, p.id, 1)
	pipe.PExpire(ctx, pulseKey, pulseKept)
	all := pipe.HGetAll(ctx, pulseKey)
	if _, err := pipe.Exec(ctx); err != nil {
		clear(p.of)
		p.lapsed = true
		return nil, fmt.Errorf("workers: heartbeat: %w", err)
	}
	p.lapsed = p.lapsed || count.Val() <= p.count
	p.count = count.Val()
	silent, gone := p.observe(all.Val(), now)
	if len(gone) > 0 {
		if err := p.rdb.HDel(ctx, pulseKey, gone...).Err(); err != nil {
			return silent, fmt.Errorf("workers: forget heartbeats: %w", err)
		}
	}
	return silent, nil
}

// Lapsed reports, once, that beats failed since it was asked last, or that Redis has lost some, as in a failover: what was
// written in several commands may be half done.
func (p *Pulse) Lapsed() bool {
	was := p.lapsed
	p.lapsed = false
	return was
}

// observe takes in the counts of all workers. It returns those that have been silent for so long that they are taken
// for dead, and those for so long that nothing of theirs can be left.
func (p *Pulse) observe(counts map[string]string, now time.Time) (silent, gone []string) {
	if now.Sub(p.own) > pulseGap {
		clear(p.of) // Redis, or this process, may have stood still, and the others' beats with it
	}
	p.own = now
	for id := range p.of {
		if _, there := counts[id]; !there {
			delete(p.of, id)
		}
	}
	for id, count := range counts {
		seen, known := p.of[id]
		switch {
		case id == p.id:
		case !known || seen.count != count:
			p.of[id] = pulseSeen{count, now}
		case now.Sub(seen.at) >= pulseKept:
			gone = append(gone, id)
		case now.Sub(seen.at) >= pulseSilence:
			silent = append(silent, id)
		}
	}
	slices.Sort(silent)
	return silent, gone
}

// Serves tells, through a pipeline, that a worker begins to make calls for a phone number ID. It is told again every so
// often for as long as the worker does.
func Serves(ctx context.Context, pipe redis.Pipeliner, worker, phoneNumberID string, now time.Time) {
	key := numbersKey(worker)
	pipe.ZAdd(ctx, key, redis.Z{Score: float64(now.UnixMilli()), Member: phoneNumberID})
	pipe.ZRemRangeByScore(ctx, key, "-inf", strconv.FormatInt(now.Add(-pulseKept).UnixMilli(), 10))
	pipe.PExpire(ctx, key, pulseKept)
}

// ServedBy returns the phone number IDs that a worker has made calls for of late, in no order.
func ServedBy(ctx context.Context, rdb redis.UniversalClient, worker string) ([]string, error) {
	ids, err := rdb.ZRange(ctx, numbersKey(worker), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("workers: phone number IDs of one: %w", err)
	}
	return ids, nil
}
