package ratelimit

import "time"

// Snapshot is what an operator sees of one limit. Rates are in calls a second; 0 and absent mean not known or not set.
type Snapshot struct {
	Rate        float64   `json:"rate"`                   // that holds now, all told
	Learnt      float64   `json:"learnt"`                 // that the law alone would use
	Anchor      float64   `json:"anchor,omitempty"`       // what the API is believed to allow
	Ceiling     float64   `json:"ceiling"`                // configured
	Pinned      float64   `json:"pinned,omitempty"`       // set by an operator in place of the learnt rate
	Capped      float64   `json:"capped,omitempty"`       // an operator's ceiling
	PausedUntil time.Time `json:"paused_until,omitzero"`  // zero when calls may go
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

// View makes a snapshot of a state, the bucket's counters and its tokens as last stored at tokensAt.
func (s State) View(c Counters, tokens int64, tokensAt, now Instant, set Settings) Snapshot {
	b := bucket{tokens: tokens, at: tokensAt}
	rate, full := flow(viewOf(s, now, set), set)
	v := Snapshot{
		Rate: float64(rate) / micro, Learnt: s.Rate, Anchor: s.Anchor, Ceiling: set.Rate, Pinned: s.Pin, Capped: s.Cap,
		Probing: s.Probe, MaxUsers: s.Users.Size, UsersCap: s.Users.Refused, Usage: s.usage(now),
		LimitErrors: s.LimitErrors, Calls: c.Taken, Served: c.Served,
		Tokens: float64(b.refilled(rate, full, now)) / micro, Reason: NotLimited.String(), At: now.Time(),
	}
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

// Pinned is the state with the rate set by an operator until it is released; the law goes on pausing, but neither cuts
// nor grows what is in force. The configured ceiling still holds.
func (s State) Pinned(rate float64) State {
	s.Pin = clampRate(rate)
	return s.rounded()
}

// Capped is the state with an operator's ceiling, below which the law goes on as before.
func (s State) Capped(rate float64) State {
	s.Cap = clampRate(rate)
	return s.rounded()
}

// Released is the state without an operator's pin and cap, and with any pause ended: one call finds out how things are.
func (s State) Released(now Instant) State {
	s.Pin, s.Cap = 0, 0
	if now < s.PausedUntil {
		s.PausedUntil, s.Stated, s.Probe = 0, false, true
	}
	return s
}
