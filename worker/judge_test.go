package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func claimed(t testing.TB, attempts ...int) []ledger.Claimed {
	t.Helper()
	users := make([]ledger.Claimed, len(attempts))
	for i, a := range attempts {
		id, err := user.FromCanonical(fmt.Sprintf("+1650555%04d", i))
		if err != nil {
			t.Fatal(err)
		}
		users[i] = ledger.Claimed{User: id, Version: ledger.Version(100 + i), Attempts: a}
	}
	return users
}

// answer has one outcome per code: 0 succeeded, -2 in neither list.
func answer(users []ledger.Claimed, codes ...int) *client.Result {
	r := &client.Result{}
	for i, code := range codes {
		o := client.Outcome{User: users[i].User, State: client.Succeeded, WaID: "1"}
		switch code {
		case 0:
		case -2:
			o.State, o.WaID = client.Unknown, ""
		default:
			o.State, o.Error = client.Failed, &client.APIError{Code: code, Message: "m", Details: "d", FBTraceID: "f"}
		}
		r.Outcomes = append(r.Outcomes, o)
	}
	return r
}

func testPolicy() policy {
	return policy{maxAttempts: 3, retryDelay: time.Second, rule: client.Classify, now: start, jitter: func() float64 { return 0 }}
}

func verdicts(j judgement) string {
	if j.split {
		return "split"
	}
	var b strings.Builder
	for _, s := range j.settlements {
		b.WriteByte(byte(s.Verdict))
	}
	return b.String()
}

func TestJudge(t *testing.T) {
	t.Parallel()
	uncounted := testPolicy()
	uncounted.uncounted = true
	for name, c := range map[string]struct {
		attempts []int
		codes    []int // of the users; nil when the whole call failed
		err      error
		policy   policy
		want     string
	}{
		"mixed": {
			attempts: []int{0, 0, 0, 0, 0, 2, 2},
			codes:    []int{0, 131047, 131021, 139103, -2, 139103, -2}, want: "sddrrdd",
		},
		"list full":             {attempts: []int{0, 0}, codes: []int{0, 139101}, want: "sd"},
		"rate limit of a user":  {attempts: []int{0, 2}, codes: []int{0, 130429}, want: "sw"},
		"unknown code":          {attempts: []int{0, 2}, codes: []int{777777, 777777}, want: "rd"},
		"rate limit":            {attempts: []int{0, 2}, err: &client.APIError{Code: 130429}, want: "ww"},
		"account limit":         {attempts: []int{2}, err: &client.APIError{Code: 4}, want: "w"},
		"halt":                  {attempts: []int{2, 2}, err: &client.APIError{Code: 190}, want: "ww"},
		"bad request of many":   {attempts: []int{0, 0}, err: &client.APIError{Code: 100}, want: "split"},
		"bad request of one":    {attempts: []int{0}, err: &client.APIError{Code: 100}, want: "d"},
		"own number among many": {attempts: []int{0, 0}, err: &client.APIError{Code: 131021}, want: "split"},
		"internal":              {attempts: []int{0, 1}, err: &client.APIError{Code: 139103}, want: "rr"},
		"last attempt of one":   {attempts: []int{2}, err: &client.APIError{Code: 139103}, want: "d"},
		"last attempt in company, which may be to blame": {attempts: []int{0, 2}, err: &client.APIError{Code: 139103}, want: "split"},
		"network":                         {attempts: []int{0, 0}, err: &client.TransportError{}, want: "rr"},
		"network in an outage":            {attempts: []int{2, 2}, err: &client.TransportError{}, policy: uncounted, want: "ww"},
		"lists, and a limit for the rest": {attempts: []int{0, 2}, codes: []int{0, -2}, err: &client.APIError{Code: 130429}, want: "sw"},
		"lists, and a fault for the rest": {attempts: []int{0, 0}, codes: []int{0, -2}, err: &client.APIError{Code: 100}, want: "sr"},
		"139100 without lists":            {attempts: []int{0, 0}, codes: []int{-2, -2}, err: &client.APIError{Code: 139100}, want: "rr"},
		"no JSON":                         {attempts: []int{0}, err: &client.ResponseError{What: "HTML"}, want: "r"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users, p := claimed(t, c.attempts...), c.policy
			if p.maxAttempts == 0 {
				p = testPolicy()
			}
			var res *client.Result
			if c.codes != nil {
				res = answer(users, c.codes...)
			}
			j := judge(users, res, c.err, p)
			if got := verdicts(j); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
			for i, s := range j.settlements {
				if s.User != users[i].User || s.Version != users[i].Version {
					t.Errorf("settlement %d is another user's", i)
				}
				if (s.Failure == nil) != (s.Verdict == ledger.Succeed) {
					t.Errorf("settlement %d: %c with failure %v", i, s.Verdict, s.Failure)
				}
			}
		})
	}
}

func TestJudgeKeepsWhatTheAPISaid(t *testing.T) {
	t.Parallel()
	users := claimed(t, 0)
	j := judge(users, answer(users, 131047), nil, testPolicy())
	want := ledger.Failure{Code: 131047, Message: "m", Details: "d", FBTraceID: "f", At: start.UnixMilli()}
	if *j.settlements[0].Failure != want {
		t.Errorf("%+v", *j.settlements[0].Failure)
	}
}

func TestFailureSaysItOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want ledger.Failure
	}{
		"no token": {unserved("7").API.Check(t.Context(), "7"), ledger.Failure{
			Message: "invalid request",
			Details: "no access token is configured for phone number ID 7: add it to phone_numbers, or set WABLOCK_ACCESS_TOKEN, then redrive",
		}},
		"the sentinel alone": {client.ErrInvalidRequest, ledger.Failure{Message: "invalid request"}},
		"something else":     {errNoResult, ledger.Failure{Message: "invalid request", Details: errNoResult.Error()}},
	} {
		c.want.At = start.UnixMilli()
		if got := failureOf(c.err, client.Rule{Name: "invalid request"}, start); *got != c.want {
			t.Errorf("%s: %+v", name, *got)
		}
	}
}

func TestEveryRuleHasAVerdict(t *testing.T) {
	t.Parallel()
	for _, rule := range client.Rules() {
		s := testPolicy().verdict(claimed(t, 0)[0], rule, &ledger.Failure{})
		if s.Verdict == 0 || s.Verdict == ledger.Succeed {
			t.Errorf("code %d: %c", rule.Code, s.Verdict)
		}
		if rule.UsesAttempt != (s.Verdict == ledger.Retry || s.Verdict == ledger.Kill) {
			t.Errorf("code %d uses an attempt: %v, verdict %c", rule.Code, rule.UsesAttempt, s.Verdict)
		}
	}
}

func TestBackoffDoublesToABound(t *testing.T) {
	t.Parallel()
	for _, jitter := range []float64{0, 0.999} {
		p := testPolicy()
		p.jitter = func() float64 { return jitter }
		last := time.Duration(0)
		for attempts := range 100 {
			d := p.backoff(attempts)
			if d < last || d > maxRetryDelay {
				t.Fatalf("attempt %d: %v after %v", attempts, d, last)
			}
			last = d
		}
		if last < maxRetryDelay/2 {
			t.Errorf("ends at %v", last)
		}
	}
}
