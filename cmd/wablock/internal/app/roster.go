package app

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/worker"
)

// newMember returns a worker's entry among those that run.
func newMember(cfg *config.Config, version string, rdb redis.UniversalClient, log *slog.Logger) *fleet.Member {
	machine, _ := os.Hostname() // "" is as good as any other name
	byID, others := ceilings(cfg)
	numbers := map[string]fleet.Ceiling{}
	for id, s := range byID {
		if s != others {
			numbers[id] = fleet.Ceiling(s)
		}
	}
	return fleet.NewMember(rdb, fleet.Worker{
		Machine: machine, PID: os.Getpid(), Version: version, GraphHost: GraphHost(cfg), Since: time.Now().UTC().Truncate(time.Second),
		Ceiling: fleet.Ceiling(others), Numbers: numbers,
	}, log)
}

// GraphHost returns the host of the Graph API, with the port unless it is that of the scheme.
func GraphHost(cfg *config.Config) string {
	u, err := url.Parse(cfg.GraphURL)
	if err != nil {
		return cfg.GraphURL
	}
	return strings.ToLower(strings.TrimSuffix(u.Host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme]))
}

// stateNotice lets the other processes see at once that the state of a lane has changed.
type stateNotice struct {
	worker.Metrics
	member *fleet.Member
}

// LaneState implements [worker.Metrics].
func (n stateNotice) LaneState(phoneNumberID, state string) {
	n.Metrics.LaneState(phoneNumberID, state)
	n.member.Notice()
}

// enter enters the worker, unless another that runs calls another Graph host. A Redis that is full
// takes no entry, and its work has to be drained all the same.
func enter(ctx context.Context, m *fleet.Member, anyGraphHost bool, log *slog.Logger) error {
	var err error
	if !anyGraphHost {
		err = m.Alone(ctx)
	}
	if other, refused := errors.AsType[*fleet.OtherHostError](err); refused {
		return &ConfigError{errors.New(other.Error() + ": stop that one, use another Redis database, or correct WABLOCK_GRAPH_URL; --any-graph-host starts all the same")}
	}
	if ctx.Err() != nil {
		return err
	}
	if err == nil {
		err = m.Beat(ctx)
	}
	if err != nil {
		log.Warn("workers: this worker is not entered among those that run", "error", err.Error())
	}
	return nil
}

// Workers returns the workers that run on a Redis, with the lanes of some phone number IDs; none where Redis is full and they
// can't write that they run.
func Workers(ctx context.Context, rdb redis.UniversalClient, phoneNumberIDs ...string) ([]fleet.Worker, error) {
	all, err := fleet.Of(ctx, rdb, phoneNumberIDs...)
	if errors.Is(err, fleet.ErrFull) {
		return nil, nil
	}
	return all, err
}

// settingsOf returns the limit that a worker is configured with for a phone number ID.
func settingsOf(w fleet.Worker, phoneNumberID string) ratelimit.Settings {
	return ratelimit.Settings(w.CeilingOf(phoneNumberID))
}
