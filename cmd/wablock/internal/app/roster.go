package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/worker"
)

// rosterKey is a hash of the workers that run, by a name that each has drawn. The whole of it
// expires when no worker refreshes its entry.
const rosterKey = "wablock:workers"

// An entry counts as that of a live worker until it has not been refreshed for so long.
const (
	rosterBeat     = 3 * time.Second
	rosterLifetime = 10 * time.Second
)

// Entry describes a worker that runs.
type Entry struct {
	Expires   int64  `json:"expires"` // in ms, on Redis's clock
	Machine   string `json:"machine"`
	PID       int    `json:"pid"`
	GraphHost string `json:"graph_host"`
	// Ceiling is the rate limit that is configured for all phone number IDs but those in Numbers.
	Ceiling ratelimit.Settings            `json:"ceiling"`
	Numbers map[string]ratelimit.Settings `json:"numbers,omitempty"`
	// Lanes holds the states of the phone number IDs whose calls don't go: halted, outage, or full, which stops blocks alone.
	Lanes map[string]string `json:"lanes,omitempty"`
}

// CeilingOf returns the configured rate limit of a phone number ID.
func (e Entry) CeilingOf(phoneNumberID string) ratelimit.Settings {
	if s, ok := e.Numbers[phoneNumberID]; ok {
		return s
	}
	return e.Ceiling
}

// Workers returns the workers that run on a Redis.
func Workers(ctx context.Context, rdb redis.UniversalClient) ([]Entry, error) {
	all, err := roster(ctx, rdb)
	return slices.SortedFunc(maps.Values(all), func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Machine, b.Machine), cmp.Compare(a.PID, b.PID))
	}), err
}

func roster(ctx context.Context, rdb redis.UniversalClient) (map[string]Entry, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("workers: %w", err)
	}
	texts, err := rdb.HGetAll(ctx, rosterKey).Result()
	if err != nil {
		return nil, fmt.Errorf("workers: %w", err)
	}
	live := map[string]Entry{}
	for id, text := range texts {
		var e Entry
		if json.Unmarshal([]byte(text), &e) == nil && e.Expires > now.UnixMilli() {
			live[id] = e
		}
	}
	return live, nil
}

// member keeps a worker's own entry, and follows the states of its lanes for it.
type member struct {
	worker.Metrics
	rdb redis.UniversalClient
	id  string
	log *slog.Logger

	mu    sync.Mutex
	entry Entry
}

func newMember(cfg *config.Config, rdb redis.UniversalClient, m worker.Metrics, log *slog.Logger) *member {
	machine, _ := os.Hostname() // "" is as good as any other name
	byID, others := ceilings(cfg)
	maps.DeleteFunc(byID, func(_ string, s ratelimit.Settings) bool { return s == others })
	return &member{Metrics: m, rdb: rdb, id: rand.Text(), log: log, entry: Entry{
		Machine: machine, PID: os.Getpid(), GraphHost: GraphHost(cfg), Ceiling: others, Numbers: byID, Lanes: map[string]string{},
	}}
}

// GraphHost returns the host of the Graph API, with the port unless it is that of the scheme.
func GraphHost(cfg *config.Config) string {
	u, err := url.Parse(cfg.GraphURL)
	if err != nil {
		return cfg.GraphURL
	}
	return strings.ToLower(strings.TrimSuffix(u.Host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme]))
}

// LaneState implements [worker.Metrics].
func (m *member) LaneState(phoneNumberID, state string) {
	m.Metrics.LaneState(phoneNumberID, state)
	m.mu.Lock()
	defer m.mu.Unlock()
	if state != "running" {
		m.entry.Lanes[phoneNumberID] = state
	} else {
		delete(m.entry.Lanes, phoneNumberID)
	}
}

// LaneClosed implements [worker.Metrics].
func (m *member) LaneClosed(phoneNumberID string) {
	m.Metrics.LaneClosed(phoneNumberID)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entry.Lanes, phoneNumberID)
}

// enter enters the worker, unless another that runs calls another Graph host. A Redis that is full
// takes no entry, and its work has to be drained all the same.
func (m *member) enter(ctx context.Context, anyGraphHost bool) error {
	var err error
	if !anyGraphHost {
		err = m.alone(ctx)
	}
	if _, refused := errors.AsType[*ConfigError](err); refused || ctx.Err() != nil {
		return err
	}
	if err == nil {
		err = m.beat(ctx)
	}
	if err != nil {
		m.log.Warn("workers: this worker is not entered among those that run", "error", err.Error())
	}
	return nil
}

// alone returns nil when no worker that runs calls another Graph host. The entry of one that died
// is there for a while, so it waits until an entry is refreshed or has expired.
func (m *member) alone(ctx context.Context) error {
	seen := map[string]int64{}
	for {
		all, err := roster(ctx, m.rdb)
		if err != nil {
			return err
		}
		others := false
		for id, e := range all {
			if e.GraphHost == m.entry.GraphHost {
				continue
			}
			if seen[id] != 0 && e.Expires > seen[id] {
				return &ConfigError{fmt.Errorf("a worker on this Redis (process %d on %s) calls %s, and this one would call %s: "+
					"stop that one, use another Redis database, or correct WABLOCK_GRAPH_URL; --any-graph-host starts all the same",
					e.PID, e.Machine, e.GraphHost, m.entry.GraphHost)}
			}
			seen[id], others = e.Expires, true
		}
		if !others {
			return nil
		}
		m.log.Info("workers: waiting to see whether a worker with another Graph host runs", "graph_host", m.entry.GraphHost)
		select {
		case <-time.After(rosterBeat / 2):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// beat refreshes the entry.
func (m *member) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rosterBeat)
	defer cancel()
	now, err := m.rdb.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	m.mu.Lock()
	m.entry.Expires = now.Add(rosterLifetime).UnixMilli()
	text, err := json.Marshal(m.entry)
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	pipe := m.rdb.Pipeline()
	pipe.HSet(ctx, rosterKey, m.id, text)
	pipe.PExpire(ctx, rosterKey, rosterLifetime)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	return nil
}

// run refreshes the entry until ctx ends, and removes it then.
func (m *member) run(ctx context.Context) error {
	tick := time.NewTicker(rosterBeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := m.beat(ctx); err != nil {
				m.log.Debug("workers: the entry of this worker can't be refreshed", "error", err.Error())
			}
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rosterBeat)
			defer cancel()
			_ = m.rdb.HDel(ctx, rosterKey, m.id).Err() // it expires
			return nil
		}
	}
}
