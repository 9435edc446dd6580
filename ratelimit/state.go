package ratelimit

import "time"

// Instant is a point in time on the limiter's clock, in microseconds since 1970. Redis is the clock of a shared state,
// so that workers whose clocks differ agree.
type Instant int64

// At turns a time into an Instant.
func At(t time.Time) Instant { return Instant(t.UnixMicro()) }

// Time is the Instant as a time in UTC.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// Add returns the instant that is d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

// Sub returns how much later than u the instant is.
func (i Instant) Sub(u Instant) time.Duration { return time.Duration(i-u) * time.Microsecond }

// State is all that the law knows of one limit. Its zero value is not valid; see [Start].
type State struct {
	Rate    float64 // calls a second that the law would send now
	Anchor  float64 // what the API is believed to allow; 0 while it has never refused a call
	Settled bool    // the anchor hardly moved with the last refusal
	Epoch   int64   // counts congestion epochs; a grant remembers the one it was given in

	PausedUntil Instant       // nobody calls before
	Stated      bool          // the API named that time itself
	Probe       bool          // calls go one at a time, until one is served
	Failures    int           // refusals in a row, which double the pause
	Backoff     int           // doublings that the next pause starts with
	Since       Instant       // when the last epoch began, or the state itself
	Hold        Instant       // the rate stays at the anchor until then
	Push        time.Duration // how long it has been driven above the anchor since
	StepAt      Instant       // when growth was last considered
	Usage       int           // last usage header, in percent; 0 when none
	UsageAt     Instant       // when it was seen

	// Marks are the counters at the moments that goodput is measured from.
	ServedAtSince, ServedAtStep, TakenAtStep int64
	Recent                                   float64 // calls served a second, over the last steps

	Users Users // what is known of the size of a call

	Pin, Cap    float64 // an operator's: the rate is this; the rate is at most this. 0 when not set
	LimitErrors int64   // refusals so far
}

// Counters are counted beside the state, by the bucket, and never reset.
type Counters struct {
	Taken  int64 // calls allowed
	Served int64 // calls that the API dealt with
}

// Start is the state of a limit that nothing is known of: one call, then a search from a few calls a second upward.
func Start(now Instant, set Settings) State {
	return State{Rate: min(startRate, set.Rate), Probe: true, Since: now, StepAt: now}
}

// Unlimited is the state of a limit that may not exist, such as an account's: everything passes until it is met.
func Unlimited(now Instant, _ Settings) State {
	return State{Rate: MaxRate, Since: now, StepAt: now}
}

// Pace is the rate that holds now, in calls a second: the law's, slowed by usage headers, or an operator's. The
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

// caughtUp shortens a pause that a clock has prolonged by going back: only a stated pause can be long.
func (s State) caughtUp(now Instant) State {
	longest := maxPause
	if s.Stated {
		longest = maxStated
	}
	s.PausedUntil = min(s.PausedUntil, now.Add(longest))
	return s
}

// bounded reports whether an operator or the configured ceiling keeps the pace from growing, whatever the law finds.
func (s State) bounded(set Settings) bool {
	return s.Pin > 0 || s.Cap > 0 && s.Rate >= s.Cap || !below(s.Rate, set.Rate)
}

// below compares as rates are stored: a bound that has more digits than that could be approached for ever.
func below(rate, bound float64) bool { return MicroRate(rate) < MicroRate(bound) }

func clampRate(rate float64) float64 { return min(max(rate, MinRate), MaxRate) }

// usage is the last usage header, as long as it means something.
func (s State) usage(now Instant) int {
	if age := now.Sub(s.UsageAt); age < 0 || age > usageMemory {
		return 0
	}
	return s.Usage
}

// rounded brings a state to the precision in which it is shared, so that it makes no difference who computed it.
func (s State) rounded() State {
	for _, rate := range []*float64{&s.Rate, &s.Anchor, &s.Recent, &s.Pin, &s.Cap} {
		*rate = float64(MicroRate(*rate)) / micro
	}
	s.Push = s.Push.Truncate(time.Microsecond)
	return s
}

// every is the time between steps.
func (s State) every() time.Duration {
	if s.Rate >= MaxRate {
		return unmetTime
	}
	return max(stepTime, callsTime(stepCalls, s.Rate))
}

// mark is where the next step measures from.
func (s State) mark(c Counters, now Instant) State {
	s.StepAt, s.ServedAtStep, s.TakenAtStep = now, c.Served, c.Taken
	return s
}

// usageShare is how much of the rate a usage header leaves.
func usageShare(percent int) float64 {
	over := float64(percent-usageSlow) / (usageStop - usageSlow)
	return 1 - min(max(over, 0), 1)*(1-usageFloor)
}

// callsTime is how long so many calls take at a rate.
func callsTime(calls, rate float64) time.Duration {
	return time.Duration(calls / rate * float64(time.Second))
}

func perSecond(calls float64, d time.Duration) float64 {
	return calls / max(d, time.Millisecond).Seconds()
}
