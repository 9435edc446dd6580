package simulator

import (
	"time"

	"github.com/wablock/wablock/client/simulator/quota"
)

// limiter is one Limit at work: a quota for each phone number ID, account, or for all.
type limiter struct {
	Limit
	quotas map[string]quota.Quota
}

func newLimiters(limits []Limit) []*limiter {
	ls := make([]*limiter, len(limits))
	for i, l := range limits {
		ls[i] = &limiter{Limit: l, quotas: map[string]quota.Quota{}}
	}
	return ls
}

// of returns the quota that n shares. There are never more than there are phone numbers.
func (l *limiter) of(n *number) quota.Quota {
	key := ""
	switch l.Scope {
	case scopePhoneNumber:
		key = n.id
	case scopeAccount:
		key = n.account
	}
	q := l.quotas[key]
	if q == nil {
		q = l.quota()
		l.quotas[key] = q
	}
	return q
}

// usage is the use of the limits by a call, for the headers of its answer.
type usage struct {
	percent int
	wait    time.Duration // of a refused call
}

// limit counts a call. refused is the limit that does not let it pass, nil if all do. Requires
// s.mu held.
func limit(limiters []*limiter, n *number, op Operation, users int, now time.Time) (u usage, refused *limiter) {
	for _, l := range limiters {
		if op == List && l.ListingFree {
			continue
		}
		q := l.of(n)
		if !q.Allow(now, users) {
			return usage{percent: 100, wait: q.Wait(now)}, l
		}
		u.percent = max(u.percent, int(q.Usage(now)*100))
	}
	return u, nil
}
