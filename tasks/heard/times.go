package heard

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/user"
)

// Times hold when persons wrote last to a phone number ID, of the time Kept.
type Times struct {
	Now    time.Time   // of Redis
	Latest time.Time   // when the last of all who wrote did; zero for never
	Last   []time.Time // when each one who was asked about did, zero where that is not known
}

// Read returns when persons wrote last, each under the latest of its names. It is one round trip.
func Read(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, names [][]user.ID) (Times, error) {
	var forms []string
	var whose []int
	for i, person := range names {
		for _, name := range person {
			forms, whose = append(forms, user.Fold(name.Reveal())), append(whose, i)
		}
	}
	if len(forms) == 0 {
		return Times{Last: make([]time.Time, len(names))}, nil
	}
	pipe := rdb.Pipeline()
	clock, scores := pipe.Time(ctx), pipe.ZMScore(ctx, timesKey(phoneNumberID), forms...)
	latest := pipe.ZRevRangeWithScores(ctx, timesKey(phoneNumberID), 0, 0)
	if _, err := pipe.Exec(ctx); err != nil {
		return Times{}, fmt.Errorf("heard: read: %w", err)
	}
	t := Times{Now: clock.Val(), Last: make([]time.Time, len(names))}
	for _, z := range latest.Val() {
		t.Latest = time.UnixMilli(int64(z.Score)).UTC()
	}
	for k, ms := range scores.Val() {
		if at := time.UnixMilli(int64(ms)).UTC(); ms > 0 && at.After(t.Last[whose[k]]) {
			t.Last[whose[k]] = at
		}
	}
	return t, nil
}

// Closed reports whether a person can't be blocked for certain: the last message lies more than Window back, whichever
// clock is right, and a later one would be known, since others who wrote within Window are. Of a person without a
// time it tells nothing: there is a call.
func (t Times) Closed(person int) bool {
	last := t.Last[person]
	return !last.IsZero() && t.Now.Sub(last) > Window+Ahead && !t.Latest.IsZero() && t.Now.Sub(t.Latest) <= Window
}
