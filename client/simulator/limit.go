package simulator

import (
	"time"

	"github.com/wablock/wablock/client/simulator/quota"
)

// The scopes of limits and of users' messages.
const (
	scopePhoneNumber = "phone_number"
	scopeAccount     = "account"
	scopeApp         = "app"
)

// Limit is one hidden rate limit. Its parts that are set combine: a call must pass all.
type Limit struct {
	// Scope is shared by "phone_number" (the default), "account" or "app".
	Scope string `json:"scope,omitempty"`
	// Rate, in calls a second, is a token bucket of Burst calls (0: 1).
	Rate  float64 `json:"rate,omitempty"`
	Burst int     `json:"burst,omitempty"`
	// Calls and Users are allowed in each fixed window of length Window (0: 60 s).
	Calls  int      `json:"calls,omitempty"`
	Users  int      `json:"users,omitempty"`
	Window Duration `json:"window,omitempty"`
	// UsersPerCall is a cap below the documented 1,000.
	UsersPerCall int `json:"users_per_call,omitempty"`
	// Lockout, if set, refuses everything for that long after a refusal; each call meanwhile
	// adds LockoutExtend (0: 1 s).
	Lockout       Duration `json:"lockout,omitempty"`
	LockoutExtend Duration `json:"lockout_extend,omitempty"`
	// ListingFree leaves listings uncounted.
	ListingFree bool `json:"listing_free,omitempty"`
	// Code of a refusal; 0 means 130429, or 80007 where Scope is "account" and 4 where it is
	// "app". Status 0 means 429 for code 4 and 400 for others. Unknown.
	Code   int `json:"code,omitempty"`
	Status int `json:"status,omitempty"`
}

func (l Limit) withDefaults() Limit {
	def(&l.Scope, scopePhoneNumber)
	def(&l.Burst, 1)
	def(&l.Window, Duration(time.Minute))
	def(&l.LockoutExtend, Duration(time.Second))
	switch l.Scope {
	case scopeAccount:
		def(&l.Code, codeAccountRateLimit)
	case scopeApp:
		def(&l.Code, codeAppRateLimit)
	default:
		def(&l.Code, codeRateLimit)
	}
	def(&l.Status, statusOf(l.Code))
	return l
}

// quota builds the arithmetic of the limit, with its whole budget there.
func (l Limit) quota() quota.Quota {
	var all quota.All
	if l.Rate > 0 {
		all = append(all, quota.NewTokenBucket(l.Rate, l.Burst))
	}
	if l.Calls > 0 {
		all = append(all, quota.NewFixedWindow(l.Calls, time.Duration(l.Window)))
	}
	if l.Users > 0 {
		all = append(all, quota.NewUsersWindow(l.Users, time.Duration(l.Window)))
	}
	var q quota.Quota = all
	if l.UsersPerCall > 0 {
		q = quota.WithUsersCap(q, l.UsersPerCall)
	}
	if l.Lockout > 0 {
		q = quota.NewLockout(q, time.Duration(l.Lockout), time.Duration(l.LockoutExtend))
	}
	return q
}

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
