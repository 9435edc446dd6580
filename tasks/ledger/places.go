package ledger

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Ahead counts users in line, by operation.
type Ahead struct{ Block, Unblock int }

// Sum counts both operations.
func (a Ahead) Sum() int { return a.Block + a.Unblock }

func (a Ahead) plus(b Ahead) Ahead { return Ahead{a.Block + b.Block, a.Unblock + b.Unblock} }

// Place is the place of a user that waits.
type Place struct {
	// InLine reports that the user may be claimed now. Ahead then counts the users that stand before it, and those that were
	// requested together with it; the user itself is one of them.
	InLine bool
	Ahead  Ahead
	// Due is the time from which one that is not in line may be claimed: its next attempt, or the deadline of a call that holds
	// it. It is zero for one that is in line, and for one that has left since its entry was read.
	Due time.Time
}

// maxCounted bounds the places that Places counts in one queue; users between two of them have the count of the later one.
const maxCounted = 100

// Places returns the places of entries whose State is Waiting, in the order given, and Redis's time. For others the
// place is empty. It reads their own places alone, and counts up to 100 of these in each queue: at most 19 commands, and 2 for
// each place that it counts.
func (l *Ledger) Places(ctx context.Context, entries []Entry) ([]Place, time.Time, error) {
	fail := func(err error) ([]Place, time.Time, error) {
		return nil, time.Time{}, fmt.Errorf("ledger: places: %w", err)
	}
	if err := checkBatch(len(entries)); err != nil {
		return fail(err)
	}
	r := placesReading{l: l, groups: map[string]*placesGroup{}}
	pipe := l.rdb.Pipeline()
	now := pipe.Time(ctx)
	r.lengths(ctx, pipe)
	for i, e := range entries {
		if e.State == Waiting {
			r.add(i, e)
		}
	}
	r.ask(ctx, pipe)
	if _, err := pipe.Exec(ctx); err != nil {
		return fail(err)
	}
	places := make([]Place, len(entries))
	scores := map[Queue][]float64{}
	for _, g := range r.groups {
		for k, i := range g.index {
			// A user that is in neither set has a score of zero.
			if place := g.places.Val()[k]; place != 0 {
				places[i].InLine = true
				scores[g.queue] = append(scores[g.queue], place)
			} else if due := g.later.Val()[k]; due != 0 {
				places[i].Due = time.UnixMilli(int64(due)).UTC()
			}
		}
	}
	counted, err := l.countTo(ctx, scores)
	if err != nil {
		return fail(err)
	}
	for _, g := range r.groups {
		for k, i := range g.index {
			if places[i].InLine {
				places[i].Ahead = r.before(g.queue).plus(counted[g.queue].to(g.places.Val()[k]))
			}
		}
	}
	return places, now.Val(), nil
}

// Point is a place in line: that of the users of a request, while they wait in line.
type Point struct {
	Queue   Queue
	Version Version
}

// AheadOf counts, for each of up to MaxBatch points, the users in line before it and at it, and returns Redis's time. It counts up
// to 100 points of each queue: 7 commands, and 2 for each point that it counts.
func (l *Ledger) AheadOf(ctx context.Context, points []Point) ([]Ahead, time.Time, error) {
	if err := checkBatch(len(points)); err != nil {
		return nil, time.Time{}, fmt.Errorf("ledger: ahead: %w", err)
	}
	r := placesReading{l: l}
	pipe := l.rdb.Pipeline()
	now := pipe.Time(ctx)
	r.lengths(ctx, pipe)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, time.Time{}, fmt.Errorf("ledger: ahead: %w", err)
	}
	scores := map[Queue][]float64{}
	for _, p := range points {
		scores[p.Queue] = append(scores[p.Queue], float64(p.Version))
	}
	counted, err := l.countTo(ctx, scores)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("ledger: ahead: %w", err)
	}
	all := make([]Ahead, len(points))
	for i, p := range points {
		all[i] = r.before(p.Queue).plus(counted[p.Queue].to(float64(p.Version)))
	}
	return all, now.Val(), nil
}

// placesGroup is the users of one queue and operation among those whose places are read.
type placesGroup struct {
	queue         Queue
	index         []int // of the entries
	users         []string
	key           string
	places, later *redis.FloatSliceCmd
}

type placesReading struct {
	l      *Ledger
	groups map[string]*placesGroup // by key
	cards  map[string]*redis.IntCmd
}

func (l *Ledger) waitingKey(q Queue, o Operation) string {
	i := keyWaiting + 2*slices.Index(Queues(), q)
	if o == Unblock {
		i++
	}
	return l.keys[i]
}

func (r *placesReading) lengths(ctx context.Context, pipe redis.Pipeliner) {
	r.cards = map[string]*redis.IntCmd{}
	for _, key := range r.l.keys[keyWaiting:] {
		r.cards[key] = pipe.ZCard(ctx, key)
	}
}

// before counts the users in the queues that are served before q.
func (r *placesReading) before(q Queue) (n Ahead) {
	for _, b := range Queues() {
		if b == q {
			break
		}
		n = n.plus(Ahead{int(r.cards[r.l.waitingKey(b, Block)].Val()), int(r.cards[r.l.waitingKey(b, Unblock)].Val())})
	}
	return n
}

func (r *placesReading) add(i int, e Entry) {
	key := r.l.waitingKey(e.Queue, e.Operation)
	g := r.groups[key]
	if g == nil {
		g = &placesGroup{queue: e.Queue, key: key}
		r.groups[key] = g
	}
	g.index, g.users = append(g.index, i), append(g.users, e.User.Reveal())
}

func (r *placesReading) ask(ctx context.Context, pipe redis.Pipeliner) {
	for _, g := range r.groups {
		g.places = pipe.ZMScore(ctx, g.key, g.users...)
		g.later = pipe.ZMScore(ctx, r.l.keys[keyLater], g.users...)
	}
}

// countedPlaces are counts up to some places, which are in order.
type countedPlaces struct {
	scores []float64
	ahead  []Ahead
}

// to returns the count up to a place, or to the next one that was counted.
func (c countedPlaces) to(score float64) Ahead {
	i, _ := slices.BinarySearch(c.scores, score)
	return c.ahead[min(i, len(c.ahead)-1)]
}

// countTo counts the users in line up to some places of each queue.
func (l *Ledger) countTo(ctx context.Context, scores map[Queue][]float64) (map[Queue]countedPlaces, error) {
	pipe := l.rdb.Pipeline()
	all := map[Queue]countedPlaces{}
	counts := map[Queue][][2]*redis.IntCmd{}
	for q, found := range scores {
		chosen := someOf(found)
		for _, s := range chosen {
			limit := strconv.FormatFloat(s, 'f', 0, 64)
			counts[q] = append(counts[q], [2]*redis.IntCmd{
				pipe.ZCount(ctx, l.waitingKey(q, Block), "-inf", limit), pipe.ZCount(ctx, l.waitingKey(q, Unblock), "-inf", limit),
			})
		}
		all[q] = countedPlaces{scores: chosen}
	}
	if pipe.Len() == 0 {
		return all, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for q, c := range all {
		for _, n := range counts[q] {
			c.ahead = append(c.ahead, Ahead{int(n[0].Val()), int(n[1].Val())})
		}
		all[q] = c
	}
	return all, nil
}

// someOf returns up to maxCounted of the places, evenly spread, in order, and the last one in any case.
func someOf(places []float64) []float64 {
	all := slices.Clone(places)
	slices.SortFunc(all, cmp.Compare)
	all = slices.Compact(all)
	if len(all) <= maxCounted {
		return all
	}
	some := make([]float64, maxCounted)
	for i := range some {
		some[i] = all[int(math.Ceil(float64((i+1)*len(all))/maxCounted))-1]
	}
	return some
}
