package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// cancel withdraws a job of one part.
func (f *fixture) cancel(v ledger.Version, users ...user.ID) {
	f.t.Helper()
	if ok, err := f.Cancel(f.t.Context(), v); err != nil || !ok {
		f.t.Fatal(ok, err)
	}
	if err := f.Withdraw(f.t.Context(), v, 1, users); err != nil {
		f.t.Fatal(err)
	}
}

// stands returns operation and state of a user.
func (f *fixture) stands(u user.ID) string {
	f.t.Helper()
	e, err := f.Entries(f.t.Context(), []user.ID{u})
	if err != nil {
		f.t.Fatal(err)
	}
	if e[0].State == ledger.Unknown {
		return "unknown"
	}
	return string(e[0].Operation) + " " + e[0].State.String()
}

// done carries out what waits, successfully.
func (f *fixture) done() {
	f.t.Helper()
	for {
		c := f.claim(100, "")
		if len(c.Users) == 0 {
			return
		}
		f.settleAll(c, ledger.Settlement{Do: ledger.Succeed, Effect: c.Operation})
	}
}

func (f *fixture) settleAll(c ledger.Claim, as ledger.Settlement) {
	f.t.Helper()
	var all []ledger.Settlement
	for _, u := range c.Users {
		s := as
		s.User, s.Version = u.User, u.Version
		all = append(all, s)
	}
	if _, err := f.Settle(f.t.Context(), c.ID, all); err != nil {
		f.t.Fatal(err)
	}
}

// nextEnd returns when the next timed block ends.
func (f *fixture) nextEnd() time.Time {
	f.t.Helper()
	e, err := f.EndBlocks(f.t.Context(), 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return e.Next
}

func TestCancel(t *testing.T) {
	t.Parallel()
	one, two := num(t, 1), num(t, 2)
	failed := &ledger.Failure{Code: 131047}
	for name, c := range map[string]struct {
		do     func(f *fixture) (canceled ledger.Version)
		then   string // of user one, at once
		end    string // when all that waits has been done
		counts ledger.Counts
	}{
		"a first request": {
			do: func(f *fixture) ledger.Version {
				v := f.job("job", ledger.Block, 1, 1)
				f.markPart(ledger.Block, v, 1, one)
				return v
			},
			then: "unknown", end: "unknown", counts: ledger.Counts{Canceled: 1},
		},
		"one that was never marked": {
			do:   func(f *fixture) ledger.Version { return f.job("job", ledger.Block, 1, 1) },
			then: "unknown", end: "unknown", counts: ledger.Counts{Canceled: 1},
		},
		"over a block that succeeded": {
			do: func(f *fixture) ledger.Version {
				f.markPart(ledger.Block, f.job("before", ledger.Block, 1, 1), 1, one)
				f.done()
				v := f.job("job", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, v, 1, one)
				return v
			},
			then: "block succeeded", end: "block succeeded", counts: ledger.Counts{Canceled: 1},
		},
		"over one that failed": {
			do: func(f *fixture) ledger.Version {
				f.markPart(ledger.Block, f.job("before", ledger.Block, 1, 1), 1, one)
				f.settleAll(f.claim(1, ""), ledger.Settlement{Do: ledger.Kill, Failure: failed})
				v := f.job("job", ledger.Block, 1, 1)
				f.markPart(ledger.Block, v, 1, one)
				return v
			},
			then: "block dead", end: "block dead", counts: ledger.Counts{Canceled: 1},
		},
		"over one that waits": {
			do: func(f *fixture) ledger.Version {
				f.markPart(ledger.Block, f.job("before", ledger.Block, 1, 1), 1, one)
				v := f.job("job", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, v, 1, one)
				return v
			},
			then: "block waiting", end: "block succeeded", counts: ledger.Counts{Canceled: 1},
		},
		"over one that waits, and is canceled too": {
			do: func(f *fixture) ledger.Version {
				first := f.job("before", ledger.Block, 1, 1)
				f.markPart(ledger.Block, first, 1, one)
				v := f.job("job", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, v, 1, one)
				f.cancel(first, one)
				if n := f.counts("before").Counts; n.Superseded != 1 {
					t.Errorf("%+v", n)
				}
				return v
			},
			then: "unknown", end: "unknown", counts: ledger.Counts{Canceled: 1},
		},
		"over one in a call": {
			do: func(f *fixture) ledger.Version {
				f.markPart(ledger.Block, f.job("before", ledger.Block, 1, 1), 1, one)
				c := f.claim(1, "")
				v := f.job("job", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, v, 1, one)
				f.cancel(v, one)
				if got := f.stands(one); got != "block in flight" {
					t.Errorf("in the call: %s", got)
				}
				f.settleAll(c, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
				return v
			},
			then: "block succeeded", end: "block succeeded", counts: ledger.Counts{Canceled: 1},
		},
		"of one whose call ended while another request had displaced it": {
			do: func(f *fixture) ledger.Version {
				waits := f.job("waits", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, waits, 1, one)
				v := f.job("job", ledger.Block, 1, 1)
				f.markPart(ledger.Block, v, 1, one)
				c := f.claim(1, "")
				after := f.job("after", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, after, 1, one)
				f.settleAll(c, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
				f.cancel(after, one)
				f.cancel(waits, one)
				return v
			},
			then: "block waiting", end: "block succeeded", counts: ledger.Counts{Succeeded: 1},
		},
		"of one in a call": {
			do: func(f *fixture) ledger.Version {
				v := f.job("job", ledger.Block, 1, 1)
				f.markPart(ledger.Block, v, 1, one)
				c := f.claim(1, "")
				f.cancel(v, one)
				f.settleAll(c, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
				return v
			},
			then: "block succeeded", end: "block succeeded", counts: ledger.Counts{Succeeded: 1},
		},
		"of an unblock that a call may have carried out": {
			do: func(f *fixture) ledger.Version {
				f.markPart(ledger.Block, f.job("before", ledger.Block, 1, 1), 1, one)
				f.done()
				v := f.job("job", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, v, 1, one)
				f.settleAll(f.claim(1, ""), ledger.Settlement{Do: ledger.Wait, Effect: ledger.Unblock})
				return v
			},
			then: "block waiting", end: "block succeeded", counts: ledger.Counts{Canceled: 1},
		},
		"of a first block that a call may have carried out": {
			do: func(f *fixture) ledger.Version {
				v := f.job("job", ledger.Block, 1, 1)
				f.markPart(ledger.Block, v, 1, one)
				f.settleAll(f.claim(1, ""), ledger.Settlement{Do: ledger.Wait, Effect: ledger.Block})
				return v
			},
			then: "block waiting", end: "block succeeded", counts: ledger.Counts{Succeeded: 1},
		},
		"over a timed block": {
			do: func(f *fixture) ledger.Version {
				f.timed("before", false, one)
				ends := f.nextEnd()
				f.done()
				v := f.job("job", ledger.Unblock, 1, 1)
				f.markPart(ledger.Unblock, v, 1, one)
				if next := f.nextEnd(); !next.IsZero() {
					f.t.Errorf("displaced, it ends at %v", next)
				}
				f.cancel(v, one)
				if next := f.nextEnd(); !next.Equal(ends) {
					f.t.Errorf("it ends at %v", next)
				}
				// While it was displaced no worker had to know of its end.
				if at, err := f.rdb.ZScore(f.t.Context(), ledger.EndsIndex, f.PhoneNumberID()).Result(); at != float64(ends.UnixMilli()) || err != nil {
					f.t.Errorf("the index has %v, %v", at, err)
				}
				return v
			},
			then: "block succeeded", end: "block succeeded", counts: ledger.Counts{Canceled: 1},
		},
		"what is newer stays": {
			do: func(f *fixture) ledger.Version {
				v := f.job("job", ledger.Block, 1, 1)
				f.markPart(ledger.Block, v, 1, one)
				f.markPart(ledger.Unblock, f.job("after", ledger.Unblock, 1, 1), 1, one)
				return v
			},
			then: "unblock waiting", end: "unblock succeeded", counts: ledger.Counts{Superseded: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				v := c.do(f)
				f.markPart(ledger.Block, f.job("other", ledger.Block, 1, 1), 1, two) // is left alone
				for range 2 {                                                        // again changes nothing
					f.cancel(v, one)
					if got := f.stands(one); got != c.then {
						t.Errorf("it is %s", got)
					}
				}
				if got := f.markPart(f.counts("job").Operation, v, 1, one); c.counts.Canceled == 1 && got != "c" {
					t.Errorf("marked again: %s", got)
				}
				f.done()
				if got := f.stands(one); got != c.end {
					t.Errorf("in the end it is %s", got)
				}
				if got := f.stands(two); got != "block succeeded" {
					t.Errorf("another user is %s", got)
				}
				got := f.counts("job").Counts
				if !got.Flagged {
					t.Error("not marked as canceled")
				}
				got.Known, got.Flagged, got.LastEnded = false, false, time.Time{}
				if d := cmp.Diff(c.counts, got); d != "" {
					t.Error(d)
				}
			})
		})
	}
}
