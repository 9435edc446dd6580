package verdict

import (
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestBreakerClosesByListCallAndTrial(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		v     Verdict
		times int
		state State
		first time.Duration
	}{
		"refused": {Verdict{Sign: SignHalted, Reason: "why", Code: 190}, 1, Halted, haltFirst},
		"failed":  {Verdict{Sign: SignFailed, Cause: Outage, Reason: "why"}, outageAfter, Outage, outageFirst},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, now, users := new(Breaker), start, claimed(t, 0, 0)
			for i := range c.times {
				if s := b.Status(now); s.State != Running {
					t.Fatalf("open after %d failures", i)
				}
				b.Report(Admission{}, ledger.Block, users, c.v, now)
			}
			if s := b.Status(now); s != (Status{State: c.state, Reason: "why", Code: c.v.Code, Wait: c.first, Since: start}) {
				t.Fatalf("%+v", s)
			}
			if _, wait := b.Admit(now); wait != c.first {
				t.Errorf("admitted after %v", wait)
			}

			now = now.Add(c.first)
			list, wait := b.Admit(now)
			if wait != 0 || list.Probe != ListProbe {
				t.Fatalf("probe: %+v, %v", list, wait)
			}
			if _, wait := b.Admit(now); wait <= 0 {
				t.Error("two probes at once")
			}
			b.Report(list, "", nil, c.v, now)
			if _, wait := b.Admit(now); wait != 2*c.first {
				t.Errorf("after a probe that failed: %v, want %v", wait, 2*c.first)
			}
			if s := b.Status(now); s.Since != start {
				t.Errorf("after a probe that failed: since %v, want %v", s.Since, start)
			}

			now = now.Add(2 * c.first)
			list, _ = b.Admit(now)
			if b.Report(list, "", nil, Verdict{Sign: SignServed}, now) {
				t.Error("a list call alone closed it")
			}
			trial, wait := b.Admit(now)
			if wait != 0 || trial.Probe != TrialProbe || trial.Max != 1 {
				t.Fatalf("trial: %+v, %v", trial, wait)
			}
			if !b.Report(trial, ledger.Block, users[:1], Verdict{Sign: SignServed}, now) {
				t.Error("the change was not reported")
			}
			if a, wait := b.Admit(now); wait != 0 || a != (Admission{}) {
				t.Errorf("after a trial that was served: %+v, %v", a, wait)
			}
		})
	}
}

func TestReleasedProbeComesAgain(t *testing.T) {
	t.Parallel()
	b := new(Breaker)
	b.Report(Admission{}, ledger.Block, claimed(t, 0), Verdict{Sign: SignHalted}, start)
	now := start.Add(haltFirst)
	probe, _ := b.Admit(now)
	b.Release(probe)
	if again, wait := b.Admit(now); again.Probe != ListProbe || wait != 0 {
		t.Errorf("%+v, %v", again, wait)
	}
}

func TestRetryForANewToken(t *testing.T) {
	t.Parallel()
	b := new(Breaker)
	b.Report(Admission{}, ledger.Block, claimed(t, 0), Verdict{Sign: SignHalted}, start)
	b.ProbeNow()
	if probe, wait := b.Admit(start); probe.Probe != ListProbe || wait != 0 {
		t.Errorf("%+v, %v", probe, wait)
	}
}

func TestCallsInFlightTogetherOpenOnce(t *testing.T) {
	t.Parallel()
	b := new(Breaker)
	for range 20 {
		b.Report(Admission{}, ledger.Block, claimed(t, 0), Verdict{Sign: SignHalted, Cause: Halted}, start)
	}
	if s := b.Status(start); s.Wait != haltFirst {
		t.Errorf("waits %v", s.Wait)
	}
}

// TestOpenBreakerNeverSpins reports every sign for every probe: each that does not close the
// breaker is followed by a wait.
func TestOpenBreakerNeverSpins(t *testing.T) {
	t.Parallel()
	for _, opened := range []Sign{SignHalted, SignFailed} {
		for _, kind := range []Probe{ListProbe, TrialProbe} {
			for _, e := range []Sign{SignNone, SignFailed, SignHalted} {
				b, now, users := new(Breaker), start, claimed(t, 0, 0)
				for range outageAfter {
					b.Report(Admission{}, ledger.Block, users, Verdict{Sign: opened, Cause: Outage}, now)
				}
				for i := range 10 {
					now = now.Add(time.Hour)
					probe, wait := b.Admit(now)
					if kind == TrialProbe {
						b.Report(probe, "", nil, Verdict{Sign: SignServed}, now)
						probe, wait = b.Admit(now)
					}
					if wait > 0 || probe.Probe != kind {
						t.Fatalf("opened by %v, %v: probe %d is %+v after %v", opened, e, i, probe, wait)
					}
					b.Report(probe, "", users[:1], Verdict{Sign: e, Cause: Outage}, now)
					if _, wait := b.Admit(now); wait <= 0 {
						t.Fatalf("opened by %v: no wait after a probe of kind %v with sign %v", opened, kind, e)
					}
				}
			}
		}
	}
}

func TestAttemptsCountOnlyBesideServedCalls(t *testing.T) {
	t.Parallel()
	failed := Verdict{Sign: SignFailed, Cause: Outage}
	for name, c := range map[string]struct {
		before []Sign
		want   bool
	}{
		"never served":            {nil, false},
		"served just before":      {[]Sign{SignServed}, true},
		"second failure in a row": {[]Sign{SignServed, SignFailed}, false},
		"served between":          {[]Sign{SignFailed, SignServed}, true},
		"a rate limit is neither": {[]Sign{SignServed, SignNone}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, users := new(Breaker), claimed(t, 0, 0)
			for _, e := range c.before {
				b.Report(Admission{}, ledger.Block, users, Verdict{Sign: e, Cause: Outage}, start)
			}
			if got := b.Evidence(users, false).Served; got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			b.Report(Admission{}, ledger.Block, users, failed, start)
		})
	}
}

// TestOneUserAloneOpensNothing: while only one user's calls fail, and the API served others before,
// it is that user.
func TestOneUserAloneOpensNothing(t *testing.T) {
	t.Parallel()
	users, failed := claimed(t, 0, 0), Verdict{Sign: SignFailed, Cause: Outage}
	b := new(Breaker)
	b.Report(Admission{}, ledger.Block, users, Verdict{Sign: SignServed}, start)
	for range 10 {
		if e := b.Evidence(users[:1], false); !e.Alone || !e.EverServed {
			t.Fatalf("%+v", e)
		}
		b.Report(Admission{}, ledger.Block, users[:1], failed, start)
	}
	if s := b.Status(start); s.State != Running {
		t.Errorf("%+v", s)
	}
	b.Report(Admission{}, ledger.Block, users[1:], failed, start)
	if s := b.Status(start); s.State != Outage {
		t.Errorf("after another user's failure: %+v", s)
	}
	if e := b.Evidence(users[:1], false); e.Alone {
		t.Errorf("%+v", e)
	}
}

// TestFewToldOpenNothing: while answers refuse few users by name, and serve none, those are at fault. More are an outage.
func TestFewToldOpenNothing(t *testing.T) {
	t.Parallel()
	users, told := claimed(t, make([]int, fewTold+1)...), Verdict{Sign: SignFailed, Cause: Outage, NamesAllFailed: true, MaxAtFault: fewTold}
	b := new(Breaker)
	for range 10 {
		if e := b.Evidence(users[:fewTold], false); !e.few(fewTold) {
			t.Fatalf("%+v", e)
		}
		b.Report(Admission{}, ledger.Block, users[:fewTold], told, start)
	}
	if s := b.Status(start); s.State != Running {
		t.Errorf("%+v", s)
	}
	if e := b.Evidence(users[fewTold:], false); e.few(fewTold) {
		t.Error("one more is still few")
	}
	b.Report(Admission{}, ledger.Block, users[fewTold:], told, start)
	if s := b.Status(start); s.State != Outage || b.Evidence(users[:1], false).few(fewTold) {
		t.Errorf("after one more: %+v", s)
	}
	b.Report(Admission{}, ledger.Block, users[:1], Verdict{Sign: SignServed}, start)
	if e := b.Evidence(users[:1], false); !e.few(fewTold) || b.Status(start).State != Running {
		t.Errorf("after a call that was served: %+v", e)
	}
}

// TestRefusedForGood: users that are refused for good one after another, with none served in between, are an outage of
// calls with users, once they are more than few. Those that are being parted show nothing yet.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	b, users := new(Breaker), claimed(t, make([]int, fewFinal+1)...)
	b.Report(Admission{}, ledger.Block, users, Verdict{Sign: SignServed}, start)
	for range 10 {
		b.Report(Admission{}, ledger.Block, users, Verdict{Sign: SignFailed, Cause: Outage, Split: Halves, MaxAtFault: fewFinal}, start)
	}
	if e := b.Evidence(users[:1], false); e.Served || e.AtFault != 1 || e.AtFaultBefore {
		t.Errorf("%+v", e)
	}
	refused := Verdict{Sign: SignFailed, Cause: Outage, MaxAtFault: fewFinal}
	for i := range fewFinal {
		for range 3 {
			b.Report(Admission{}, ledger.Block, users[i:i+1], refused, start)
		}
		if e := b.Evidence(users[i:i+1], false); !e.few(fewFinal) || !e.AtFaultBefore || b.Status(start).State != Running {
			t.Fatalf("user %d: %+v", i, e)
		}
	}
	b.Report(Admission{}, ledger.Block, users[fewFinal:], refused, start)
	if e := b.Evidence(users[:1], false); e.few(fewFinal) || b.Status(start).State != Outage {
		t.Errorf("after one more: %+v", e)
	}
}

func TestFullListHoldsBlocksBack(t *testing.T) {
	t.Parallel()
	b, now, users := new(Breaker), start, claimed(t, 0, 0, 0, 0)
	full := Verdict{Sign: SignServed, Full: true}
	if !b.Report(Admission{}, ledger.Block, users, full, now) {
		t.Error("the change was not reported")
	}
	if s := b.Status(now); s.State != Full || s.Wait != TrialEvery {
		t.Errorf("%+v", s)
	}
	if a, wait := b.Admit(now); a.Only != ledger.Unblock || wait != 0 {
		t.Errorf("while full: %+v, %v", a, wait)
	}
	last := TrialEvery
	for range 12 { // trials become rare
		now = now.Add(last)
		trial, _ := b.Admit(now)
		if !trial.Room || trial.Max != 1 || trial.Only != ledger.Block {
			t.Fatalf("trial after %v: %+v", last, trial)
		}
		if a, _ := b.Admit(now); a.Only != ledger.Unblock {
			t.Errorf("beside the trial: %+v", a)
		}
		b.Report(trial, ledger.Block, users[:1], full, now)
		last = min(2*last, roomLongest)
		if a, _ := b.Admit(now.Add(last - time.Second)); a.Only != ledger.Unblock {
			t.Errorf("a trial before %v: %+v", last, a)
		}
	}
	b.WantRoom(1)
	if a, _ := b.Admit(now.Add(TrialEvery - 1)); a.Room {
		t.Error("two trials within five seconds")
	}
	trial, _ := b.Admit(now.Add(TrialEvery))
	if !trial.Room {
		t.Error("no trial for a new request")
	}
	b.Report(trial, ledger.Block, users[:1], full, now.Add(TrialEvery))
	if a, _ := b.Admit(now.Add(2 * TrialEvery)); a.Room {
		t.Error("a second trial for one request")
	}
	b.WantRoom(1)
	if a, _ := b.Admit(now.Add(2 * TrialEvery)); a.Room {
		t.Error("a second trial for one request, whose task came again")
	}
}

// TestRoomIsWhatWasSeen: as many blocks as users were removed, then twice as many as succeeded.
func TestRoomIsWhatWasSeen(t *testing.T) {
	t.Parallel()
	b, users := new(Breaker), claimed(t, make([]int, ledger.MaxBatch)...)
	full := Verdict{Sign: SignServed, Full: true}
	b.Report(Admission{}, ledger.Block, users, full, start)
	now := start.Add(TrialEvery)
	b.Report(Admission{Only: ledger.Unblock}, ledger.Unblock, users[:3], Verdict{Sign: SignServed, Succeeded: 3}, now)
	for _, n := range []int{3, 6, 12, 24, 48, 96, 192, 384, 768} {
		a, _ := b.Admit(now)
		if !a.Room || a.Max != n || a.Only != ledger.Block {
			t.Fatalf("%+v, want room for %d", a, n)
		}
		if beside, _ := b.Admit(now); beside.Only != ledger.Unblock {
			t.Fatalf("beside %d: %+v", n, beside)
		}
		b.Report(a, ledger.Block, users[:n], Verdict{Sign: SignServed, Succeeded: n}, now)
	}
	if a, _ := b.Admit(now); a != (Admission{}) {
		t.Errorf("with much room: %+v", a)
	}
	if !b.Evidence(users, false).WasFull {
		t.Error("a list that was full once makes users wait when it is full again")
	}

	b.Report(Admission{}, ledger.Block, users, full, now)
	now = now.Add(TrialEvery)
	b.Report(Admission{Only: ledger.Unblock}, ledger.Unblock, users[:2], Verdict{Sign: SignServed, Succeeded: 2}, now)
	a, _ := b.Admit(now)
	b.Report(a, ledger.Block, users[:2], full, now)
	if a, _ := b.Admit(now); a.Room {
		t.Errorf("after places that were taken by others: %+v", a)
	}
}

func TestReleasedPlacesStay(t *testing.T) {
	t.Parallel()
	b, users := new(Breaker), claimed(t, 0, 0)
	b.Report(Admission{}, ledger.Block, users, Verdict{Sign: SignServed, Full: true}, start)
	now := start.Add(TrialEvery)
	b.Report(Admission{}, ledger.Unblock, users, Verdict{Sign: SignServed, Succeeded: 2}, now)
	a, _ := b.Admit(now)
	b.Release(a)
	if again, _ := b.Admit(now); again != a {
		t.Errorf("%+v, want %+v", again, a)
	}
}

func TestRateLimitLeavesTheBreakerAlone(t *testing.T) {
	t.Parallel()
	b := new(Breaker)
	for range 10 {
		if b.Report(Admission{}, ledger.Block, claimed(t, 0), Verdict{Sign: SignNone}, start) {
			t.Fatal("changed")
		}
	}
	if s := b.Status(start); s.State != Running {
		t.Error(s)
	}
}

// TestStrikes counts the refusals of one user for its rate while others are served in between.
func TestStrikes(t *testing.T) {
	t.Parallel()
	b, users := new(Breaker), claimed(t, 0, 0)
	limited := Verdict{Sign: SignNone, LimitedWhole: true}
	limited.Struck = append(limited.Struck, users[0].User)
	for i := range 5 {
		if got := b.Evidence(users[:1], false).strikes(users[0].User); got != i {
			t.Fatalf("%d strikes, want %d", got, i)
		}
		b.Report(Admission{}, ledger.Block, users[:1], limited, start)
		b.Report(Admission{}, ledger.Block, users[:1], limited, start) // no call in between
		b.Report(Admission{}, ledger.Block, users[1:], Verdict{Sign: SignServed}, start)
	}
	b.Report(Admission{}, ledger.Block, users[:1], Verdict{Sign: SignServed}, start)
	if got := b.Evidence(users[:1], false).strikes(users[0].User); got != 0 {
		t.Errorf("%d strikes after it was served", got)
	}
}
