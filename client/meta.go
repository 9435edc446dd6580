package client

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxStatedWait bounds what a header may ask us to wait. The API counts in hours at most; a
// longer wait is a broken header, and must not stop a queue.
const maxStatedWait = 24 * time.Hour

// Meta is what an answer says beside its verdicts.
type Meta struct {
	Status int // HTTP
	// RetryAfter is what the API asks to wait, 0 when it doesn't say, at most 24 hours.
	RetryAfter time.Duration
	Usage      Usage
	FBTraceID  string // of the top-level error
}

// Usage is how much of Meta's call budgets is used, by the headers x-business-use-case-usage
// and x-app-usage. They are there only after some use, so zeros mean nothing.
type Usage struct {
	Business int // highest percentage of any business account and metric
	App      int // highest percentage of any metric of the app
	// RegainAccess is the longest time until a business account may call again, 0 when none
	// is locked out, at most 24 hours.
	RegainAccess time.Duration
	// Accounts are the business accounts (WABA IDs) that the header names, sorted.
	Accounts []string
}

// Percent returns the higher of both percentages.
func (u Usage) Percent() int { return max(u.Business, u.App) }

func readMeta(status int, h http.Header, now time.Time) Meta {
	m := Meta{Status: status, RetryAfter: retryAfter(h, now)}
	readBusinessUsage(&m.Usage, h.Get("X-Business-Use-Case-Usage"))
	readAppUsage(&m.Usage, h.Get("X-App-Usage"))
	return m
}

// retryAfter reads seconds or an HTTP date. A date is held against the answer's own Date,
// which spares us the difference of clocks.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(v, 64); err == nil {
		return bounded(seconds, time.Second)
	}
	until, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(until.Sub(now), 0), maxStatedWait)
}

func bounded(n float64, unit time.Duration) time.Duration {
	if math.IsNaN(n) || n <= 0 {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(maxStatedWait)))
}

// metrics are percentages of a budget; the regain time is in minutes (Graph API overview,
// "Rate Limits").
type metrics struct {
	CallCount float64 `json:"call_count"`
	CPUTime   float64 `json:"total_cputime"`
	TotalTime float64 `json:"total_time"`
	Regain    float64 `json:"estimated_time_to_regain_access"`
}

func (m metrics) percent() int {
	return int(min(max(m.CallCount, m.CPUTime, m.TotalTime, 0), 1000))
}

func readBusinessUsage(u *Usage, header string) {
	var byAccount map[string][]metrics
	if header == "" || json.Unmarshal([]byte(header), &byAccount) != nil {
		return
	}
	for account, entries := range byAccount {
		if validID(account) == nil {
			u.Accounts = append(u.Accounts, account)
		}
		for _, m := range entries {
			u.Business = max(u.Business, m.percent())
			u.RegainAccess = max(u.RegainAccess, bounded(m.Regain, time.Minute))
		}
	}
	slices.Sort(u.Accounts)
}

func readAppUsage(u *Usage, header string) {
	var m metrics
	if header == "" || json.Unmarshal([]byte(header), &m) != nil {
		return
	}
	u.App = m.percent()
}
