package ratelimit

import "time"

// State holds all that the law knows of one limit. Its zero value is not valid; see [Start].
type State struct {
	Rate    float64 // calls a second that the law would send now
	Anchor  float64 // what the API is believed to allow; 0 while it has never refused a call
	Settled bool    // the anchor hardly moved with the last refusal
	Epoch   int64   // counts congestion epochs; a grant remembers the one it was given in

	PausedFrom  Instant       // when the pause was set
	PausedUntil Instant       // no call goes before
	Stated      bool          // the API named that time itself
	Probe       bool          // calls go one at a time, until one is served
	Failures    int           // refusals in a row, which double the pause
	Backoff     int           // doublings that the next pause starts with
	Since       Instant       // when the last epoch began, or the state itself
	RestUntil   Instant       // the rate stays at the anchor until then
	Push        time.Duration // how long it has been driven above the anchor since
	StepAt      Instant       // when growth was last considered
	RoundTrip   time.Duration // from a grant to its report, smoothed; 0 while not known
	Gain        float64       // by which tracking answers a refusal; see tracking
	Steady      float64       // rate at the last refusal that came when it was due; 0 before
	FellAt      Instant       // when the limit was found to be much lower than that
	Strikes     int           // how often tracking was wrong
	Wary        int           // congestion epochs for which a refusal stops all calls; see law.tracks

	// Windows are learnt from the first and the last refusal of a congestion epoch, and the call that ended it.
	SpentAt, RefusedAt Instant
	Window             time.Duration // length of the windows that refusals follow; 0 while none was recognised
	WindowSeen         int           // epochs in a row that agreed
	WindowAt           Instant       // when the present window, or the time since the last pause, was first seen
	ServedAtWindow     int64         // calls served until then
	Quota              int64         // calls that a window is believed to hold
	Spread             time.Duration // length of windows that do not follow the clock; 0 while none was recognised
	Usage              int           // last usage header, in percent; 0 when none
	UsageAt            Instant       // when it was seen

	// Marks are the counters at the moments that goodput is measured from.
	ServedAtSince, ServedAtStep, TakenAtStep int64
	Recent                                   float64 // calls served a second, over the last steps

	Batch BatchLimit // how many users a call may carry

	Pin, Cap    float64 // an operator's: the rate is this; the rate is at most this. 0 when not set
	LimitErrors int64   // refusals so far
}

// Counters are counted beside the state, by the bucket, and never reset.
type Counters struct {
	Taken  int64 // calls allowed
	Served int64 // calls that the API dealt with
}

// Start returns the state of a limit that nothing is known of: one call, then a search from a few calls a second upward.
func Start(now Instant, set Settings) State {
	return State{Rate: min(startRate, set.Rate), Probe: true, Since: now, StepAt: now}
}

// Unlimited returns the state of a limit that may not exist, such as an account's: everything passes until it is met.
func Unlimited(now Instant, _ Settings) State {
	return State{Rate: MaxRate, Since: now, StepAt: now}
}

// clockStep is the time by which a state may be ahead of the clock before the clock is known to have been set back.
const clockStep = time.Second

// rebased returns the state for a clock that was set back: what was noted lies in its future, so all of it is moved by
// the difference, or refusals of before would pass for fresh ones, and the time between for a window.
func (s State) rebased(now Instant) State {
	newest := max(s.Since, s.StepAt, s.FellAt, s.PausedFrom, s.SpentAt, s.RefusedAt, s.WindowAt, s.UsageAt)
	back := newest.Sub(now)
	if back <= clockStep {
		return s
	}
	for _, at := range []*Instant{
		&s.Since, &s.StepAt, &s.FellAt, &s.PausedFrom, &s.SpentAt, &s.RefusedAt, &s.WindowAt, &s.UsageAt,
		&s.PausedUntil, &s.RestUntil, &s.Batch.RetryAt,
	} {
		if *at != 0 {
			*at = at.Add(-back)
		}
	}
	return s
}

// Pace returns the rate in force, in calls a second: the law's, slowed by usage headers, or an operator's. The
// configured ceiling comes on top, in the bucket.
func (s State) Pace(now Instant) float64 {
	rate := s.Rate
	if s.Pin > 0 {
		rate = s.Pin
	}
	rate *= usageShare(s.usage(now))
	if s.Cap > 0 {
		rate = min(rate, s.Cap)
	}
	return clampRate(rate)
}

// Pinned returns the state with the rate set by an operator until it is released; the law goes on pausing, but neither cuts
// nor grows what is in force. The configured ceiling still holds.
func (s State) Pinned(rate float64) State {
	s.Pin = clampRate(rate)
	return s.rounded()
}

// Capped returns the state with an operator's ceiling, below which the law goes on as before.
func (s State) Capped(rate float64) State {
	s.Cap = clampRate(rate)
	return s.rounded()
}

// Released returns the state without an operator's pin and cap, and with any pause ended: one call then finds out whether calls pass.
func (s State) Released(now Instant) State {
	s.Pin, s.Cap = 0, 0
	if now < s.PausedUntil {
		s.PausedUntil, s.Stated, s.Probe = 0, false, true
	}
	return s
}

// bounded reports whether an operator or the configured ceiling keeps the pace from growing, whatever the law finds.
func (s State) bounded(set Settings) bool {
	return s.Pin > 0 || s.Cap > 0 && s.Rate >= s.Cap || !below(s.Rate, set.Rate)
}

// every returns the time between steps.
func (s State) every(set Settings) time.Duration {
	if s.Rate >= MaxRate {
		return unmetTime
	}
	if s.Anchor == 0 && !s.bounded(set) {
		return max(searchTime, s.RoundTrip, callsTime(searchCalls, s.Rate))
	}
	return max(stepTime, s.RoundTrip, callsTime(stepCalls, s.Rate))
}

// trial returns the size that one call may try beyond the others; 0 for none. The pace must hold meanwhile, or a refusal
// could be the pace's.
func (s State) trial(now Instant, set Settings) int {
	if s.Anchor == 0 || s.Settled && s.Rate <= s.Anchor || s.bounded(set) {
		return s.Batch.trial(now, set.MaxUsers)
	}
	return 0
}

// A window is recognised when so many congestion epochs in a row agree.
const windowSeen = 2

// windows reports whether refusals are known to follow windows.
func (s State) windows() bool { return s.WindowSeen >= windowSeen }

// usage returns the last usage header, as long as it means something.
func (s State) usage(now Instant) int {
	if age := now.Sub(s.UsageAt); age < 0 || age > usageMemory {
		return 0
	}
	return s.Usage
}

// rounded brings a state to the precision in which it is shared, so that it makes no difference who computed it.
func (s State) rounded() State {
	for _, rate := range []*float64{&s.Rate, &s.Anchor, &s.Recent, &s.Pin, &s.Cap, &s.Gain, &s.Steady} {
		*rate = float64(MicroRate(*rate)) / micro
	}
	for _, d := range []*time.Duration{&s.Push, &s.RoundTrip, &s.Spread} {
		*d = d.Truncate(time.Microsecond)
	}
	return s
}

// usageShare returns the share of the rate that a usage header leaves.
func usageShare(percent int) float64 {
	over := float64(percent-usageSlow) / (usageStop - usageSlow)
	return 1 - min(max(over, 0), 1)*(1-usageFloor)
}
