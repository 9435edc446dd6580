package verdict

import (
	"context"
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

func testPolicy() Policy {
	return Policy{
		MaxAttempts: 3, RetryDelay: time.Second, Listed: true, Now: start, Jitter: func() float64 { return 0 },
		Evidence: Evidence{Served: true, EverServed: true},
	}
}

// says sums a verdict up: a letter per user, or what it asks for.
func says(v Verdict) string {
	switch {
	case v.NeedsCheck:
		return "check"
	case v.Split == Halves:
		return "split"
	case v.Split == FirstHalf:
		return "first half"
	}
	var b strings.Builder
	for _, s := range v.Settlements {
		b.WriteByte(byte(s.Do))
	}
	b.WriteString(strings.Repeat("a", len(v.CallAgain)))
	return b.String()
}

var (
	passed    = Check{Done: true}
	refusedBy = func(code int) Check { return Check{Done: true, Err: &client.APIError{Code: code}} }
)

// TestUnblockOfAFullList: one user of an unblock that is refused with the code of a full list sinks no
// other, and does not wait for room.
func TestUnblockOfAFullList(t *testing.T) {
	t.Parallel()
	full := &client.APIError{Code: 139101}
	for _, known := range []bool{false, true} {
		for want, c := range map[string]struct {
			users int
			named []int
			check Check
		}{
			"check": {users: 2}, "split": {users: 2, check: passed}, "d": {users: 1, check: passed},
			"sd": {users: 2, named: []int{0, 139101}},
		} {
			users := claimed(t, make([]int, c.users)...)
			p := testPolicy()
			p.Evidence.WasFull, p.Check = known, c.check
			var v Verdict
			if c.named != nil {
				v = Read(ledger.Unblock, users, answer(users, c.named...), nil, p)
			} else {
				v = Read(ledger.Unblock, users, nil, full, p)
			}
			if got := says(v); got != want || v.Full {
				t.Errorf("%d users, list known to be full %v: %s, want %s; full %v", c.users, known, got, want, v.Full)
			}
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	outage := Evidence{EverServed: true, Failures: 2, Several: true}
	alone := Evidence{EverServed: true, Failures: 2, Alone: true}
	again := Evidence{Failures: 5, AtFault: 2, AtFaultBefore: true}
	few := Evidence{Failures: 5, AtFault: 2}
	for name, c := range map[string]struct {
		attempts []int
		codes    []int // of the users; nil when the whole call failed
		err      error
		check    Check
		evidence Evidence // zero: others were served just before
		unlisted bool
		parts    bool // are still to be called
		served   bool // are some
		want     string
		sign     Sign
		outcome  string
	}{
		"mixed": {
			attempts: []int{0, 0, 0, 0, 0, 2, 2},
			codes:    []int{0, 131047, 131021, 139103, -2, 139103, -2}, want: "sddrrda", sign: SignServed, outcome: "answered",
		},
		"one is named, others are not, on their last attempt": {attempts: []int{2, 1, 2, 2}, codes: []int{139102, -2, -2, -2}, want: "draa", sign: SignServed},
		"one is named with a halt code, others are not":       {attempts: []int{2, 2}, codes: []int{190, -2}, want: "check", sign: SignNone},
		"list full":             {attempts: []int{0, 0}, codes: []int{0, 139101}, want: "sd", sign: SignServed},
		"list known to be full": {attempts: []int{0, 2}, codes: []int{0, 139101}, evidence: Evidence{WasFull: true}, want: "sw", sign: SignServed},
		"rate limit of a user":  {attempts: []int{0, 2}, codes: []int{0, 130429}, want: "sw", sign: SignServed},
		"unknown code":          {attempts: []int{0, 2}, codes: []int{777777, 777777}, want: "rd", sign: SignServed},
		"halt of a user":        {attempts: []int{0, 0, 2}, codes: []int{0, 190, 131031}, want: "sra", sign: SignServed},
		"rate limit":            {attempts: []int{0, 2}, err: &client.APIError{Code: 130429}, want: "ww"},
		"account limit":         {attempts: []int{2}, err: &client.APIError{Code: 4}, want: "w"},

		"halt, to be checked":       {attempts: []int{2, 2}, err: &client.APIError{Code: 190}, want: "check"},
		"halt of every call":        {attempts: []int{2, 2}, err: &client.APIError{Code: 190}, check: refusedBy(190), want: "ww", sign: SignHalted},
		"halt, check not possible":  {attempts: []int{2}, err: &client.APIError{Code: 190}, check: Check{Done: true, Err: ErrNotChecked}, want: "w", sign: SignHalted},
		"halt of some user":         {attempts: []int{0, 0}, err: &client.APIError{Code: 10}, check: passed, want: "split", sign: SignFailed},
		"halt of one":               {attempts: []int{0}, err: &client.APIError{Code: 10}, check: passed, want: "r", sign: SignFailed},
		"halt of one, last attempt": {attempts: []int{2}, err: &client.APIError{Code: 10}, check: passed, want: "d", sign: SignFailed},
		"all users named with halt": {attempts: []int{0, 0}, codes: []int{131031, 131031}, want: "check"},
		"the same, every call":      {attempts: []int{0, 0}, codes: []int{131031, 131031}, check: refusedBy(131031), want: "ww", sign: SignHalted},
		"the same, for blocks":      {attempts: []int{0, 0}, codes: []int{131031, 131031}, check: passed, evidence: outage, want: "split", sign: SignFailed},
		"one user named with halt":  {attempts: []int{0}, codes: []int{190}, check: passed, evidence: few, want: "r", sign: SignFailed},

		"all named to be retried":               {attempts: []int{0, 1}, codes: []int{139103, 131000}, want: "rr", sign: SignServed},
		"the same, on a last attempt":           {attempts: []int{0, 2}, codes: []int{139103, 131000}, want: "rd", sign: SignServed},
		"the same, nothing served since":        {attempts: []int{0, 2}, codes: []int{139103, 131000}, evidence: outage, want: "rd", sign: SignServed},
		"all named with a limit":                {attempts: []int{2, 2}, codes: []int{130429, 80007}, want: "ww"},
		"most named with a limit":               {attempts: []int{2, 2, 2}, codes: []int{130429, 131000, 80007}, want: "www"},
		"as many named with a limit":            {attempts: []int{1, 1}, codes: []int{130429, 131000}, want: "wr", sign: SignServed},
		"all named, one with a code of its own": {attempts: []int{0, 0}, codes: []int{131000, 131047}, want: "rd", sign: SignServed},

		"bad request, to be checked":             {attempts: []int{0, 0}, err: &client.APIError{Code: 100}, want: "check"},
		"bad request of many":                    {attempts: []int{0, 0}, err: &client.APIError{Code: 100}, check: passed, want: "split", sign: SignFailed},
		"bad request of one":                     {attempts: []int{0}, err: &client.APIError{Code: 100}, check: passed, want: "d", sign: SignFailed},
		"the same, nothing served":               {attempts: []int{0}, err: &client.APIError{Code: 100}, check: passed, evidence: outage, want: "r", sign: SignFailed},
		"the same, few refused since one was":    {attempts: []int{0}, err: &client.APIError{Code: 100}, check: passed, evidence: few, want: "d", sign: SignFailed},
		"the same, parts still to be called":     {attempts: []int{0}, err: &client.APIError{Code: 100}, check: passed, evidence: few, parts: true, want: "a", sign: SignFailed},
		"the same, for the second time":          {attempts: []int{0}, err: &client.APIError{Code: 100}, check: passed, evidence: again, parts: true, want: "d", sign: SignFailed},
		"the same, more than few, parts to call": {attempts: []int{0}, err: &client.APIError{Code: 100}, check: passed, evidence: outage, parts: true, want: "a", sign: SignFailed},
		"the same, nothing served, tried before": {attempts: []int{1}, err: &client.APIError{Code: 100}, check: passed, evidence: outage, want: "w", sign: SignFailed},
		"the same, others of the claim served":   {attempts: []int{0}, err: &client.APIError{Code: 100}, check: passed, evidence: outage, parts: true, served: true, want: "d"},
		"bad request of every call": {
			attempts: []int{0}, err: &client.APIError{Code: 100}, check: refusedBy(100), want: "w", sign: SignHalted, outcome: "invalid parameter",
		},
		"the same, not listed":   {attempts: []int{0}, err: &client.APIError{Code: 100}, check: refusedBy(100), unlisted: true, want: "d", sign: SignServed},
		"not checked":            {attempts: []int{2}, err: &client.APIError{Code: 100}, check: Check{Done: true, Err: ErrNotChecked}, want: "w", outcome: "not checked yet"},
		"check meets an outage":  {attempts: []int{2}, err: &client.APIError{Code: 100}, check: refusedBy(2), want: "w", sign: SignFailed},
		"own number among many":  {attempts: []int{0, 0}, err: &client.APIError{Code: 131021}, check: passed, want: "split", sign: SignFailed},
		"unknown ID":             {attempts: []int{0, 0}, err: &client.APIError{Code: 803}, check: refusedBy(803), want: "ww", sign: SignHalted},
		"unknown ID, not listed": {attempts: []int{0, 0}, err: &client.APIError{Code: 803}, check: refusedBy(803), unlisted: true, want: "dd", sign: SignServed},
		"deleted ID":             {attempts: []int{0, 0}, err: &client.APIError{Code: 33}, check: refusedBy(33), want: "dd", sign: SignServed},
		"unknown ID for a user":  {attempts: []int{0, 0}, err: &client.APIError{Code: 33}, check: passed, want: "split", sign: SignFailed},

		"internal":                        {attempts: []int{0, 1}, err: &client.APIError{Code: 139103}, want: "rr", sign: SignFailed},
		"internal, every call":            {attempts: []int{0, 2}, err: &client.APIError{Code: 139103}, evidence: outage, want: "ww", sign: SignFailed},
		"unknown code, every call":        {attempts: []int{0, 1}, err: &client.APIError{Code: 2500}, evidence: outage, want: "ww", sign: SignFailed},
		"list changed, of a block":        {attempts: []int{0}, err: &client.APIError{Code: 139102}, want: "r", sign: SignFailed},
		"last attempt, to be checked":     {attempts: []int{2}, err: &client.APIError{Code: 139103}, want: "check"},
		"last attempt":                    {attempts: []int{2}, err: &client.APIError{Code: 139103}, check: passed, want: "d", sign: SignFailed},
		"last attempt, API down":          {attempts: []int{2}, err: &client.APIError{Code: 139103}, check: refusedBy(2), want: "w", sign: SignFailed},
		"last attempt, token refused":     {attempts: []int{2}, err: &client.APIError{Code: 139103}, check: refusedBy(190), want: "w", sign: SignHalted},
		"last attempt in company":         {attempts: []int{0, 2}, err: &client.APIError{Code: 139103}, want: "split", sign: SignFailed},
		"one user fails alone":            {attempts: []int{0}, err: &client.APIError{Code: 131000}, evidence: alone, check: passed, want: "r", sign: SignFailed},
		"one user among several":          {attempts: []int{0}, err: &client.APIError{Code: 131000}, evidence: outage, want: "w", sign: SignFailed},
		"one user, nothing served ever":   {attempts: []int{0}, err: &client.APIError{Code: 131000}, evidence: Evidence{Alone: true}, want: "w", sign: SignFailed},
		"network":                         {attempts: []int{0, 0}, err: &client.TransportError{}, want: "rr", sign: SignFailed},
		"network in an outage":            {attempts: []int{2, 2}, err: &client.TransportError{}, evidence: outage, want: "ww", sign: SignFailed},
		"lists, and a limit for the rest": {attempts: []int{0, 2}, codes: []int{0, -2}, err: &client.APIError{Code: 130429}, want: "sw", sign: SignServed},
		"lists, and a fault for the rest": {attempts: []int{0, 0}, codes: []int{0, -2}, err: &client.APIError{Code: 100}, want: "sr", sign: SignServed},
		"139100 without lists":            {attempts: []int{0, 0}, codes: []int{-2, -2}, err: &client.APIError{Code: 139100}, want: "rr", sign: SignFailed},
		"names no user":                   {attempts: []int{0, 0}, codes: []int{-2, -2}, want: "rr", sign: SignFailed, outcome: "the API's answer did not name the user"},
		"no JSON":                         {attempts: []int{0}, err: &client.ResponseError{What: "HTML"}, want: "r", sign: SignFailed},
		"nothing at all":                  {attempts: []int{0}, want: "r", sign: SignFailed},
		"canceled":                        {attempts: []int{2}, err: fmt.Errorf("cut: %w", context.Canceled), want: "w"},
		"too late":                        {attempts: []int{2}, err: ErrLate, want: "w", outcome: "too late to be sent"},
		"never sent":                      {attempts: []int{0, 0}, err: client.ErrInvalidRequest, want: "dd", sign: SignServed, outcome: "invalid request"},

		"whole list full, of many":    {attempts: []int{0, 0, 0}, err: &client.APIError{Code: 139101}, want: "first half", sign: SignServed},
		"whole list full, of one":     {attempts: []int{0}, err: &client.APIError{Code: 139101}, want: "d", sign: SignServed},
		"whole list known to be full": {attempts: []int{0, 0}, err: &client.APIError{Code: 139101}, evidence: Evidence{WasFull: true}, want: "ww", sign: SignServed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users, p := claimed(t, c.attempts...), testPolicy()
			p.Check, p.Listed, p.Parts, p.PartServed = c.check, !c.unlisted, c.parts, c.served
			if c.evidence.EverServed || c.evidence.WasFull || c.evidence.Alone || c.evidence.AtFault > 0 {
				p.Evidence = c.evidence
			}
			var res *client.Result
			if c.codes != nil {
				res = answer(users, c.codes...)
			}
			v := Read(ledger.Block, users, res, c.err, p)
			if got := says(v); got != c.want || v.Sign != c.sign {
				t.Fatalf("%s with sign %v, want %s with %v", got, v.Sign, c.want, c.sign)
			}
			if c.outcome != "" && v.Outcome != c.outcome {
				t.Errorf("outcome %q, want %q", v.Outcome, c.outcome)
			}
			for i, s := range v.Settlements {
				if s.User != users[i].User || s.Version != users[i].Version {
					t.Errorf("settlement %d is another user's", i)
				}
				if (s.Failure == nil) != (s.Do == ledger.Succeed) {
					t.Errorf("settlement %d: %c with failure %v", i, s.Do, s.Failure)
				}
			}
		})
	}
}

// TestLimitedUsersGoBehind: the next call is not made with the same users, while others wait.
func TestLimitedUsersGoBehind(t *testing.T) {
	t.Parallel()
	p := testPolicy()
	p.Others, p.Evidence.Limited = true, 2
	limit := &client.APIError{Code: 130429}
	for _, s := range Read(ledger.Block, claimed(t, 0, 0, 0, 0), nil, limit, p).Settlements {
		if s.Delay < 4*time.Second {
			t.Errorf("back after %v, while others wait", s.Delay)
		}
	}
	p.Others = false
	for _, s := range Read(ledger.Block, claimed(t, 0, 0, 0, 0), nil, limit, p).Settlements {
		if s.Delay != 0 || s.Failure.Limited != p.Now.UnixMilli() {
			t.Errorf("back after %v, with %+v; the limiter says when", s.Delay, s.Failure)
		}
	}
}

// TestLimitIsOfItsUsers: of users who were limited before, a further limit is theirs once any worker's calls were served
// since; they are told apart from the others of the call. So a pause that the API states for one user is kept once.
func TestLimitIsOfItsUsers(t *testing.T) {
	t.Parallel()
	before, after := start.Add(-time.Minute), start.Add(-time.Second)
	for name, c := range map[string]struct {
		limited, served time.Time
		paused          time.Duration // that the API stated then
		probe, theirs   bool
	}{
		"never limited":                        {served: after},
		"none was served since":                {limited: after, served: before},
		"one was served since":                 {limited: before, served: after, theirs: true},
		"a probe after a stated pause":         {limited: after, served: before, paused: time.Minute, probe: true},
		"calls go again, after a stated pause": {limited: after, served: before, paused: time.Minute, theirs: true},
		"calls go again, after one of our own": {limited: after, served: before},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, users, p := new(Breaker), claimed(t, 0, 0, 0), testPolicy()
			b.Report(Admission{}, ledger.Block, users, Verdict{Sign: SignServed}, c.served)
			if !c.limited.IsZero() {
				users[1].Limited, users[1].Paused = c.limited.UnixMilli(), c.paused.Milliseconds()
			}
			limit := &client.APIError{Code: 130429}
			p.Evidence = b.Evidence(users, c.probe)
			if v := Read(ledger.Block, users, nil, limit, p); (v.Split == Halves) != c.theirs || v.Observation.Limited == c.theirs {
				t.Errorf("in company: %+v", v)
			}
			alone := users[1:2]
			p.Evidence = b.Evidence(alone, c.probe)
			v := Read(ledger.Block, alone, nil, limit, p)
			if v.Observation.Limited == c.theirs || (v.Settlements[0].Failure.Company == 1) != c.theirs {
				t.Errorf("alone: %+v with %+v", v, v.Settlements[0].Failure)
			}
		})
	}
}

// TestUserThatIsAlwaysLimited is dead-lettered in the end, and slows no other down.
func TestUserThatIsAlwaysLimited(t *testing.T) {
	t.Parallel()
	for name, whole := range map[string]bool{"whole call": true, "named": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, users := testPolicy(), claimed(t, 2)
			read := func(strikes int) Verdict {
				p.Evidence.Strikes = map[user.ID]int{users[0].User: strikes}
				if whole {
					return Read(ledger.Block, users, nil, &client.APIError{Code: 130429}, p)
				}
				return Read(ledger.Block, users, answer(users, 130429), nil, p)
			}
			if v := read(0); says(v) != "w" || !v.Observation.Limited {
				t.Errorf("first: %s, %+v", says(v), v.Observation)
			}
			if v := read(1); says(v) != "w" || v.Observation.Limited {
				t.Errorf("again, while others are served: %s, %+v", says(v), v.Observation)
			}
			if v := read(provenAttempts); says(v) != "d" {
				t.Errorf("in the end: %s", says(v))
			}
			users[0].Limited = start.UnixMilli() // as its record tells any worker
			if v := read(0); says(v) != "w" {
				t.Errorf("once more, with none served since: %s", says(v))
			}
			if v := read(1); says(v) != "d" {
				t.Errorf("once more, with others served since: %s", says(v))
			}
		})
	}
}

func TestReadCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		sign    Sign
		limited bool
		unknown bool // to the configuration
	}{
		"served":                        {sign: SignServed},
		"token":                         {err: &client.APIError{Code: 190}, sign: SignHalted},
		"request":                       {err: &client.APIError{Code: 100}, sign: SignHalted},
		"limit":                         {err: &client.APIError{Code: 130429}, sign: SignNone, limited: true},
		"down":                          {err: &client.APIError{Code: 2}, sign: SignFailed},
		"unknown":                       {err: &client.APIError{Code: 2500}, sign: SignFailed},
		"canceled":                      {err: context.Canceled, sign: SignNone},
		"deleted":                       {err: &client.APIError{Code: 33}, sign: SignServed},
		"not visible":                   {err: &client.APIError{Code: 100, Subcode: 33}, sign: SignHalted},
		"not visible, and a producer's": {err: &client.APIError{Code: 100, Subcode: 33}, sign: SignServed, unknown: true},
		"token, and a producer's":       {err: &client.APIError{Code: 190}, sign: SignHalted, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if v := ReadCheck(c.err, !c.unknown); v.Sign != c.sign || v.Observation.Limited != c.limited || v.Observation.Served != (c.sign == SignServed) {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestReadKeepsWhatTheAPISaid(t *testing.T) {
	t.Parallel()
	users := claimed(t, 0)
	v := Read(ledger.Block, users, answer(users, 131047), nil, testPolicy())
	want := ledger.Failure{Code: 131047, Message: "m", Details: "d", FBTraceID: "f", At: start.UnixMilli()}
	if *v.Settlements[0].Failure != want {
		t.Errorf("%+v", *v.Settlements[0].Failure)
	}
}

func TestFailureSaysItOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want ledger.Failure
	}{
		"no token": {fmt.Errorf("%w: no access token is configured", client.ErrInvalidRequest), ledger.Failure{
			Message: "invalid request", Details: "no access token is configured",
		}},
		"the sentinel alone": {client.ErrInvalidRequest, ledger.Failure{Message: "invalid request"}},
		"something else":     {ErrNoResult, ledger.Failure{Message: "invalid request", Details: ErrNoResult.Error()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.want.At = start.UnixMilli()
			if got := failureOf(c.err, client.Rule{Name: "invalid request"}, start); *got != c.want {
				t.Errorf("%+v", *got)
			}
		})
	}
}

func TestEveryRuleHasAVerdict(t *testing.T) {
	t.Parallel()
	for _, rule := range client.Rules() {
		r := reading{Policy: testPolicy(), users: claimed(t, 0)}
		s := r.settle(r.users[0], rule, &ledger.Failure{}, rule.UsesAttempt)
		if s.Do == 0 || s.Do == ledger.Succeed {
			t.Errorf("code %d: %c", rule.Code, s.Do)
		}
		if rule.UsesAttempt != (s.Do == ledger.Retry || s.Do == ledger.Kill) {
			t.Errorf("code %d uses an attempt: %v, verdict %c", rule.Code, rule.UsesAttempt, s.Do)
		}
	}
}

func TestBackoffDoublesToABound(t *testing.T) {
	t.Parallel()
	for _, jitter := range []float64{0, 0.999} {
		p := testPolicy()
		p.Jitter = func() float64 { return jitter }
		r := reading{Policy: p}
		last := time.Duration(0)
		for attempts := range 100 {
			d := r.backoff(attempts)
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
