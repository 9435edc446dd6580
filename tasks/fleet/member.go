package fleet

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/beat.lua
var beatLua string

var beatScript = redis.NewScript(beatLua)

const (
	beatSpacing = 250 * time.Millisecond // between heartbeats that changes of states ask for
	writeAgain  = 10                     // heartbeats of which one writes all lanes, whatever Redis has lost
)

// Member keeps the entry of the worker that this process runs.
type Member struct {
	rdb    redis.UniversalClient
	id     string
	log    *slog.Logger
	notice chan struct{} // a state has changed

	mu    sync.Mutex
	entry Worker
	lanes func() []Lane

	written map[string]string // the lanes as they were written last; beat alone uses it
	beats   int
}

// NewMember returns a member that has not entered. The worker describes itself but for Expires, LastCall and Lanes.
func NewMember(rdb redis.UniversalClient, self Worker, log *slog.Logger) *Member {
	return &Member{
		rdb: rdb, id: rand.Text(), log: log, notice: make(chan struct{}, 1), entry: self, written: map[string]string{},
		lanes: func() []Lane { return nil },
	}
}

// Show sets the source of the lanes that the member shows. It must be quick.
func (m *Member) Show(lanes func() []Lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lanes = lanes
}

// Notice lets the change of a lane's state be seen at once. It never blocks.
func (m *Member) Notice() {
	select {
	case m.notice <- struct{}{}:
	default:
	}
}

// OtherHostError reports a worker that calls another Graph host.
type OtherHostError struct {
	Other Worker
	Own   string // Graph host
}

func (e *OtherHostError) Error() string {
	return fmt.Sprintf("a worker on this Redis (%s) calls %s, and this one would call %s", e.Other.Where(), e.Other.GraphHost, e.Own)
}

// Alone returns nil when no worker that runs calls another Graph host, else an [*OtherHostError]. The entry of one that
// died is there for a while, so it waits until an entry is refreshed or has expired.
func (m *Member) Alone(ctx context.Context) error {
	seen := map[string]int64{}
	for {
		all, err := entries(ctx, m.rdb)
		if err != nil {
			return err
		}
		others := false
		for id, w := range all {
			if w.GraphHost == m.entry.GraphHost {
				continue
			}
			if seen[id] != 0 && w.Expires > seen[id] {
				return &OtherHostError{w, m.entry.GraphHost}
			}
			seen[id], others = w.Expires, true
		}
		if !others {
			return nil
		}
		m.log.Info("workers: waiting to see whether a worker with another Graph host runs", "graph_host", m.entry.GraphHost)
		select {
		case <-time.After(beatEvery / 2):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Beat refreshes the entry, and writes the lanes that have changed.
func (m *Member) Beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	now, err := m.rdb.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	entry, lanes, err := m.now(now)
	if err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	whole := m.beats%writeAgain == 0
	m.beats++
	if whole {
		m.prune(ctx, now)
	}
	if _, err = m.refresh(ctx, workersKey, nil, []string{m.id, entry}); err == nil {
		err = m.write(ctx, lanes, whole)
	}
	if err != nil {
		m.beats = 0
		return fmt.Errorf("workers: %w", err)
	}
	return nil
}

// write writes the lanes that have changed since they were written last, or all.
func (m *Member) write(ctx context.Context, lanes map[string]string, whole bool) error {
	var changed, gone []string
	for id, text := range lanes {
		if whole || m.written[id] != text {
			changed = append(changed, id, text)
		}
	}
	for id := range m.written {
		if _, there := lanes[id]; !there {
			gone = append(gone, id)
		}
	}
	there, err := m.refresh(ctx, lanesKey(m.id), gone, changed)
	switch {
	case err != nil:
		for id := range lanes { // it may be there, and as it was before
			m.written[id] = ""
		}
	case there:
		m.written = lanes
	default:
		m.written = map[string]string{} // Redis has lost them, or there are none
	}
	return err
}

// refresh changes fields of a hash and puts its end off. It reports whether anything is in it.
func (m *Member) refresh(ctx context.Context, key string, gone, pairs []string) (bool, error) {
	args := make([]any, 0, 2+len(gone)+len(pairs))
	args = append(args, lifetime.Milliseconds(), len(gone))
	for _, words := range [][]string{gone, pairs} {
		for _, w := range words {
			args = append(args, w)
		}
	}
	n, err := beatScript.Run(ctx, m.rdb, []string{key}, args...).Int()
	return n == 1, err
}

// prune removes the entries of workers that died, which would stay as long as others run.
func (m *Member) prune(ctx context.Context, now time.Time) {
	texts, err := m.rdb.HGetAll(ctx, workersKey).Result()
	if err != nil {
		return // it is tried again
	}
	for id, text := range texts {
		var w Worker
		if json.Unmarshal([]byte(text), &w) != nil || time.UnixMilli(w.Expires).Before(now.Add(-lifetime)) {
			_ = m.rdb.HDel(ctx, workersKey, id).Err()
		}
	}
}

// now returns the entry and the lanes as they are written.
func (m *Member) now(redisTime time.Time) (entry string, lanes map[string]string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.lanes()
	slices.SortFunc(all, func(a, b Lane) int {
		switch {
		case (a.State == Running) == (b.State == Running):
			return strings.Compare(a.PhoneNumberID, b.PhoneNumberID)
		case a.State == Running:
			return 1
		}
		return -1
	})
	lanes = map[string]string{}
	for _, l := range all {
		if l.LastCall.After(m.entry.LastCall) {
			m.entry.LastCall = l.LastCall
		}
		if len(lanes) == MaxLanes {
			continue
		}
		text, err := json.Marshal(l)
		if err != nil {
			return "", nil, err
		}
		lanes[l.PhoneNumberID] = string(text)
	}
	m.entry.Expires = redisTime.Add(lifetime).UnixMilli()
	text, err := json.Marshal(m.entry)
	return string(text), lanes, err
}

// Run refreshes the entry until ctx ends, and removes it then.
func (m *Member) Run(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-m.notice:
			sleep(ctx, beatSpacing) // others may change with it
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		if err := m.Beat(ctx); err != nil {
			m.log.Debug("workers: the entry of this worker can't be refreshed", "error", err.Error())
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatEvery)
	defer cancel()
	pipe := m.rdb.Pipeline()
	now := pipe.Time(ctx)
	pipe.HDel(ctx, workersKey, m.id)
	pipe.Del(ctx, lanesKey(m.id))
	if _, err := pipe.Exec(ctx); err == nil { // else they expire
		m.prune(ctx, now.Val())
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
