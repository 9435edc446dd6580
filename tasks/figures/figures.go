// Package figures keeps figures over time of each phone number ID in Redis: users that succeeded and that were
// dead-lettered, calls, and calls that the API refused for their rate, by minute, for 25 hours. Workers gather
// theirs in memory and add them once a second, so what it costs does not grow with the calls. A worker that is
// killed loses up to a second of them: they tell people how it goes, and decide nothing.
//
//	rec := figures.NewRecorder(rdb)
//	rec.Add(phoneNumberID, figures.Counts{Calls: 1, Succeeded: 998, DeadLettered: 2})
//	err := rec.Run(ctx)
//	series, err := figures.Read(ctx, rdb, time.Hour, phoneNumberID)
package figures

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Counts counts what happened in some time.
type Counts struct {
	Succeeded    int `json:"succeeded"`     // users
	DeadLettered int `json:"dead_lettered"` // users
	Calls        int `json:"calls"`         // of the Block Users API
	Refusals     int `json:"refusals"`      // calls that the API refused for their rate or size
}

func (c Counts) plus(o Counts) Counts {
	return Counts{c.Succeeded + o.Succeeded, c.DeadLettered + o.DeadLettered, c.Calls + o.Calls, c.Refusals + o.Refusals}
}

// Settled counts the users that ended.
func (c Counts) Settled() int { return c.Succeeded + c.DeadLettered }

const (
	keptFor = 25 * time.Hour
	// slot is the time whose minutes share one key. Redis keeps a hash of up to 128 fields in a compact form, and
	// a slot has five for each of its minutes.
	slot     = 20 * time.Minute
	perSlot  = int64(slot / time.Minute)
	longest  = keptFor - slot
	interval = time.Second // between two flushes of a Recorder
	timeout  = 2 * time.Second
)

// fieldRate is the name of the field of a minute that holds its rate, in thousandths.
const fieldRate = "l"

// fields are the names of the fields of a minute, behind its number in the slot, in the order of Counts.
var fields = [4]string{"s", "d", "c", "r"}

func (c *Counts) values() [4]*int {
	return [4]*int{&c.Succeeded, &c.DeadLettered, &c.Calls, &c.Refusals}
}

// minuteOf returns the number of a time's minute since 1970.
func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// key returns the hash that holds a minute.
func key(phoneNumberID string, minute int64) string {
	return "wablock:{" + phoneNumberID + "}:minutes:" + strconv.FormatInt(minute/perSlot, 10)
}

// Minute holds the figures of one minute.
type Minute struct {
	Counts
	// Rate is the learnt rate limit at its end, in calls a second; 0 when no worker told one.
	Rate float64 `json:"rate,omitempty"`
}

// Series holds the figures of successive minutes of one phone number ID.
type Series struct {
	// Minutes are in order of time; the last one is the current one, and not over.
	Minutes []Minute
	// Past is the time of the last minute that has passed.
	Past time.Duration
}

// Sum adds up the whole series.
func (s Series) Sum() (sum Counts) {
	for _, m := range s.Minutes {
		sum = sum.plus(m.Counts)
	}
	return sum
}

// LastMinute returns the figures of the last 60 seconds: those of the current minute, and as much of the one
// before as it has not had time for.
func (s Series) LastMinute() Counts {
	n := len(s.Minutes)
	if n == 0 {
		return Counts{}
	}
	sum := s.Minutes[n-1].Counts
	if n > 1 {
		left := 1 - min(1, s.Past.Minutes())
		before := s.Minutes[n-2].Counts
		for _, v := range before.values() {
			*v = int(float64(*v)*left + 0.5)
		}
		sum = sum.plus(before)
	}
	return sum
}

// Read returns the last minutes of phone number IDs, in their order, at most 24 hours and 40 minutes. It reads all of
// them in one round trip, after one for the time.
func Read(ctx context.Context, rdb redis.UniversalClient, last time.Duration, phoneNumberIDs ...string) ([]Series, error) {
	if len(phoneNumberIDs) == 0 {
		return nil, nil
	}
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("figures: read: %w", err)
	}
	end := minuteOf(now)
	first := end - int64(min(max(last, time.Minute), longest)/time.Minute) + 1
	pipe := rdb.Pipeline()
	asked := make([][]*redis.MapStringStringCmd, len(phoneNumberIDs))
	for i, id := range phoneNumberIDs {
		for s := first / perSlot; s <= end/perSlot; s++ {
			asked[i] = append(asked[i], pipe.HGetAll(ctx, key(id, s*perSlot)))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("figures: read: %w", err)
	}
	all := make([]Series, len(phoneNumberIDs))
	for i := range all {
		all[i] = Series{Minutes: make([]Minute, end-first+1), Past: now.Sub(now.Truncate(time.Minute))}
		for m := first; m <= end; m++ {
			found := asked[i][m/perSlot-first/perSlot].Val()
			prefix := strconv.FormatInt(m%perSlot, 10)
			minute := &all[i].Minutes[m-first]
			for k, v := range minute.values() {
				*v = count(found[prefix+fields[k]])
			}
			minute.Rate = float64(count(found[prefix+fieldRate])) / thousand
		}
	}
	return all, nil
}

const thousand = 1000

// count reads a field, 0 for none and for what is not a count.
func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(0, n)
}
