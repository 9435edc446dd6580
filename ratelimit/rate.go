package ratelimit

import (
	"math"
	"time"
)

// micro is the unit of tokens and rates as they are shared: integers, so that Redis and Go count alike.
const micro = 1_000_000

// MicroRate returns a rate in the unit that states and buckets are kept in: millionths of a call a second.
func MicroRate(rate float64) int64 { return int64(math.Round(rate * micro)) }

// Rates are kept between these, in calls a second: one call in 100 s is slow enough for any limiter that still answers,
// and no API is called faster than ten thousand times a second.
const (
	MinRate = 0.01
	MaxRate = 10_000
)

// below compares as rates are stored: a bound that has more digits than that could be approached for ever.
func below(rate, bound float64) bool { return MicroRate(rate) < MicroRate(bound) }

func clampRate(rate float64) float64 { return min(max(rate, MinRate), MaxRate) }

// callsTime returns the time that so many calls take at a rate.
func callsTime(calls, rate float64) time.Duration {
	return time.Duration(calls / rate * float64(time.Second))
}

func perSecond(calls float64, d time.Duration) float64 {
	return calls / max(d, time.Millisecond).Seconds()
}
