package app

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/waiting"
)

// Limit is the answer of `limits show` for one phone number ID.
type Limit struct {
	PhoneNumberID string `json:"phone_number_id"`
	ratelimit.Snapshot
	// State sums up: running, probing, paused, halted, outage, full, or unused before the first call.
	State string `json:"state"`
	// PinnedBy and CappedBy asked for the pin and the cap, as far as the audit log goes back.
	PinnedBy string    `json:"pinned_by,omitempty"`
	PinnedAt time.Time `json:"pinned_at,omitzero"`
	CappedBy string    `json:"capped_by,omitempty"`
	CappedAt time.Time `json:"capped_at,omitzero"`
	// Pauses are those of `wablock pause` that hold for the phone number ID.
	Pauses []pause.Pause `json:"pauses,omitempty"`
	// Account is the limit of the account, which holds for all of its phone numbers; absent until it has been met.
	Account *ratelimit.Snapshot `json:"account,omitempty"`
}

// LimitOf completes what the limiter says of a phone number ID.
func LimitOf(ctx context.Context, rdb redis.UniversalClient, l *redislimit.Limiter, workers []fleet.Worker, n config.PhoneNumber, s ratelimit.Snapshot) (Limit, error) {
	o := Limit{PhoneNumberID: n.ID, Snapshot: s, State: LimitState(s, laneOf(workers, n.ID))}
	var err error
	if o.Pauses, err = pause.Of(ctx, rdb, n.ID); err != nil {
		return o, err
	}
	_, block := pause.Stops(o.Pauses, n.ID, ledger.Block)
	_, unblock := pause.Stops(o.Pauses, n.ID, ledger.Unblock)
	if block && unblock {
		o.State = "paused"
	}
	if s.Pinned > 0 {
		o.PinnedBy, o.PinnedAt = askedBy(ctx, rdb, n.ID, audit.Pin)
	}
	if s.Capped > 0 {
		o.CappedBy, o.CappedAt = askedBy(ctx, rdb, n.ID, audit.Cap)
	}
	account, err := l.ShowAccount(ctx, n.Token.Account())
	if err == nil && account.LimitErrors > 0 {
		o.Account = &account
	}
	return o, err
}

// askedBy returns who asked for what holds, and when; nothing where the audit log does not tell, without which the limit
// is as good.
func askedBy(ctx context.Context, rdb redis.UniversalClient, id string, action audit.Action) (string, time.Time) {
	e, _, _ := audit.Last(ctx, rdb, id, action)
	return e.By, e.At
}

// Limits returns the limit of one phone number ID, or with "" of all that are configured.
func Limits(ctx context.Context, cfg *config.Config, rdb redis.UniversalClient, id string) ([]Limit, error) {
	phones := cfg.PhoneNumbers
	if id != "" {
		phones = []config.PhoneNumber{{ID: id, Token: cfg.AccessToken}}
		for _, n := range cfg.PhoneNumbers {
			if n.ID == id {
				phones = []config.PhoneNumber{n}
			}
		}
	}
	workers, err := Workers(ctx, rdb, IDsOf(phones)...)
	if err != nil {
		return nil, err
	}
	limiter := LimiterOf(cfg, rdb, workers, func(string, ...any) {})
	all := []Limit{}
	for _, n := range phones {
		s, err := limiter.Show(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		o, err := LimitOf(ctx, rdb, limiter, workers, n, s)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// IDsOf returns the phone number IDs.
func IDsOf(phones []config.PhoneNumber) []string {
	ids := make([]string, len(phones))
	for i, n := range phones {
		ids[i] = n.ID
	}
	return ids
}

// LimiterOf returns the limiter with the ceilings of the workers that run: they hold to theirs, and
// not to those of this process's configuration. It tells say what people should know of that.
func LimiterOf(cfg *config.Config, rdb redis.UniversalClient, workers []fleet.Worker, say func(format string, args ...any)) *redislimit.Limiter {
	if len(workers) == 0 {
		say("no worker is running: the ceiling is that of this command's configuration")
		return NewLimiter(cfg, rdb)
	}
	return redislimit.New(rdb, func(id string) ratelimit.Settings {
		least := settingsOf(workers[0], id)
		most := least
		for _, w := range workers[1:] {
			s := settingsOf(w, id)
			if s.Rate < least.Rate {
				least = s
			}
			if s.Rate > most.Rate {
				most = s
			}
		}
		if least.Rate < most.Rate {
			say("the workers are configured with different limits for phone number ID %s, from %s to %s", id, perSecond(least.Rate), perSecond(most.Rate))
		}
		return least
	})
}

// laneOf returns the state of a phone number ID whose calls don't go, by what its workers report; "" where they go.
func laneOf(workers []fleet.Worker, id string) string {
	if l, known := (waiting.Facts{Lanes: fleet.LanesOf(workers, id)}).Lane(ledger.Block); known && l.State != fleet.Running {
		return string(l.State)
	}
	return ""
}

// LimitState sums up a limit, given what a worker has reported of the phone number ID.
func LimitState(s ratelimit.Snapshot, lane string) string {
	switch {
	case lane != "":
		return lane
	case !s.PausedUntil.IsZero():
		return "paused"
	case s.Calls == 0 && s.LimitErrors == 0:
		return "unused"
	case s.Probing:
		return "probing"
	}
	return "running"
}

func perSecond(rate float64) string { return fmt.Sprintf("%.3g/s", rate) }
