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
