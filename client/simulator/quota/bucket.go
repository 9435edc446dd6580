package quota

import (
	"math"
	"time"
)

// TokenBucket lets bursts through and then a steady rate: each call takes a token, and tokens
// come back at the rate, up to the burst.
type TokenBucket struct {
	rate, burst float64
	tokens      float64
	at          time.Time // when tokens was right; zero before the first call
}

// NewTokenBucket returns a full bucket. rate is in calls a second; with 0 or less the burst is
// all there ever is. A burst below 1 counts as 1, since no call could pass otherwise.
func NewTokenBucket(rate float64, burst int) *TokenBucket {
	b := float64(max(burst, 1))
	return &TokenBucket{rate: max(rate, 0), burst: b, tokens: b}
}

// Allow takes a token if there is one; the number of users plays no part.
func (b *TokenBucket) Allow(now time.Time, _ int) bool {
	b.refill(now)
	if b.tokens < 1-tokenSlack {
		return false
	}
	b.tokens--
	return true
}

// tokenSlack forgives rounding: ten refills of a tenth must make a whole token.
const tokenSlack = 1e-9

// SetRate changes the rate from now on; what has come back until now came at the old one.
func (b *TokenBucket) SetRate(now time.Time, rate float64) {
	b.refill(now)
	b.rate = max(rate, 0)
}

// Usage is always 0: usage headers tell of budgets that last for minutes and hours, not of a
// burst that is back in a second.
func (b *TokenBucket) Usage(time.Time) float64 { return 0 }

// Wait is the time until the next token.
func (b *TokenBucket) Wait(now time.Time) time.Duration {
	b.refill(now)
	missing := 1 - b.tokens // without the slack, so that a caller who waits this long does get in
	switch {
	case missing <= tokenSlack:
		return 0
	case b.rate == 0:
		return math.MaxInt64
	}
	return time.Duration(min(math.Ceil(missing/b.rate*float64(time.Second)), float64(math.MaxInt64/2)))
}

func (b *TokenBucket) refill(now time.Time) {
	if b.at.IsZero() {
		b.at = now
		return
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(b.burst, b.tokens+passed.Seconds()*b.rate)
		b.at = now
	}
}
