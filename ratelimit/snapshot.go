package ratelimit

import "time"

// Snapshot shows one limit to an operator. Rates are in calls a second; 0 and absent mean not known or not set.
type Snapshot struct {
	Rate        float64   `json:"rate"`                   // in force now
	Learnt      float64   `json:"learnt"`                 // that the law alone would use
	Anchor      float64   `json:"anchor,omitempty"`       // what the API is believed to allow
	Ceiling     float64   `json:"ceiling"`                // configured
	Pinned      float64   `json:"pinned,omitempty"`       // set by an operator in place of the learnt rate
	Capped      float64   `json:"capped,omitempty"`       // an operator's ceiling
	PausedUntil time.Time `json:"paused_until,omitzero"`  // zero when calls are allowed
	Stated      bool      `json:"stated,omitempty"`       // the API named that time
	Probing     bool      `json:"probing,omitempty"`      // calls go one at a time until one is served
	MaxUsers    int       `json:"max_users"`              // per call
	UsersCap    int       `json:"users_refused,omitzero"` // smallest size of a call that was refused
	Usage       int       `json:"usage_percent,omitzero"` // last usage header
	LimitErrors int64     `json:"limit_errors"`           // refusals since the limit is known
	Calls       int64     `json:"calls"`                  // allowed since then
	Served      int64     `json:"served"`                 // dealt with by the API
	Tokens      float64   `json:"tokens"`                 // calls that could go at once
	Reason      string    `json:"reason"`                 // why a call would have to wait now: none, paused, probing or pace
	At          time.Time `json:"at"`                     // on the limiter's clock
}

// Wait estimates how long so many calls will take from now: the rest of the pause, and the rate.
func (s Snapshot) Wait(calls int) time.Duration {
	wait := max(s.PausedUntil.Sub(s.At), 0)
	if missing := float64(calls) - s.Tokens; missing > 0 {
		wait += callsTime(missing, max(s.Rate, MinRate))
	}
	return wait
}

// SnapshotOf makes a snapshot of a state, the bucket's counters and its tokens, in millionths, as last stored at tokensAt.
func SnapshotOf(s State, c Counters, tokens int64, tokensAt, now Instant, set Settings) Snapshot {
	v := Snapshot{
		Rate: min(s.Pace(now), set.Rate), Learnt: s.Rate, Anchor: s.Anchor, Ceiling: set.Rate, Pinned: s.Pin, Capped: s.Cap,
		Probing: s.Probe, MaxUsers: s.Batch.Size, UsersCap: s.Batch.Refused, Usage: s.usage(now),
		LimitErrors: s.LimitErrors, Calls: c.Taken, Served: c.Served, Reason: NotLimited.String(), At: now.Time(),
	}
	full := min(float64(set.Burst), max(1, v.Rate)) // as take.lua has it
	v.Tokens = min(float64(tokens)/micro+v.Rate*max(now.Sub(tokensAt), 0).Seconds(), full)
	if v.MaxUsers == 0 || v.MaxUsers > set.MaxUsers {
		v.MaxUsers = set.MaxUsers
	}
	switch {
	case now < s.PausedUntil:
		v.PausedUntil, v.Stated, v.Tokens, v.Reason = s.PausedUntil.Time(), s.Stated, 0, Paused.String()
	case s.Probe:
		v.Tokens, v.Reason = 0, Probing.String()
	case v.Tokens < 1:
		v.Reason = Pace.String()
	}
	return v
}
