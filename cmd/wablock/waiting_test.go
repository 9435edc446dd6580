package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/waiting"
)

// TestStatusSaysWhy: what lanes show of each planted cause is told by status and by job, and each cause costs the same
// few commands however many users wait.
func TestStatusSaysWhy(t *testing.T) {
	t.Parallel()
	f := setup(t)
	expires := time.Now().Add(time.Hour).UnixMilli()
	lane := func(more string) {
		t.Helper()
		f.rdb.HSet(t.Context(), "wablock:workers", "w", fmt.Sprintf(`{"expires":%d,"machine":"m","pid":1}`, expires))
		f.rdb.HSet(t.Context(), "wablock:worker:w:lanes", phoneNumberID, fmt.Sprintf(`{"phone_number_id":"%s",%s}`, phoneNumberID, more))
	}
	said := func(cause waiting.Cause, parts ...string) {
		t.Helper()
		for _, args := range [][]string{{"status", number(1)}, {"job", "why"}} {
			o := f.wablock(append(args, "--json")...).exits(exitDone).object()
			if o["waiting_for"] != string(cause) {
				t.Errorf("%s: %v, want %q", args[0], o, cause)
			}
			text, _ := o["waiting_text"].(string)
			for _, p := range parts {
				if !strings.Contains(text, p) {
					t.Errorf("%s: %q has no %q", args[0], text, p)
				}
			}
			if out := f.wablock(args...).exits(exitDone).out; !strings.Contains(out, parts[0]) {
				t.Errorf("for people: %s", out)
			}
		}
	}
	f.wablock("block", number(1), "--job-id", "why").exits(exitDone)
	said(waiting.NoWorker, "no worker is running")
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for state, cause := range map[fleet.State]waiting.Cause{fleet.Halted: waiting.Halted, fleet.Outage: waiting.Outage, fleet.Full: waiting.ListFull} {
		lane(fmt.Sprintf(`"state":"%s","since":"%s","reason":"expired","help":"Renew it.","code":190`, state, since))
		said(cause, since, "190")
	}
	lane(`"state":"running","pace":0.01,"pinned":0.01,"users_per_call":10`)
	said(waiting.RateLimit, "pinned the rate at 0.01 calls a second", "first in line")
	lane(`"state":"running","pace":2,"users_per_call":10`)
	said(waiting.InLine, "first in line", "2 calls a second of up to 10 users")
	if o := f.wablock("job", "why", "--json").object(); o["expected_at"] == nil {
		t.Errorf("no expected_at: %v", o)
	}
	f.wablock("pause", "--reason", "wrong file").exits(exitDone)
	said(waiting.Paused, "wrong file")
}

// TestWaitSaysWhy: what a job waits for is said, while it makes no progress.
func TestWaitSaysWhy(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("pause", "--reason", "wrong file").exits(exitDone)
	f.wablock("block", "--job-id", "why", number(1)).exits(exitDone)
	for name, args := range map[string][]string{"block": {"block", "--job-id", "why", number(1)}, "job": {"job", "why"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := *f
			g.T = t
			g.until("waits:", append(args, "--wait")...).exits(exitInterrupted).says("the job why waits: calls to block are paused", "wrong file")
		})
	}
}

// TestWaitSaysAReasonOnce: a reason that goes on is said again after a while only, another at once.
func TestWaitSaysAReasonOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out, said bytes.Buffer
		w := &waiter{cli: &cli{out: &out, err: &said}, waitFlags: waitFlags{wait: true, timeout: 25 * time.Second}}
		start := time.Now()
		_, err := w.follow(t.Context(), 1, "the job goes on",
			func(context.Context) (tasks.Progress, error) { return tasks.Progress{Pending: 1}, nil },
			func(context.Context) tasks.JobStatus {
				j := tasks.JobStatus{ID: "why"}
				j.WaitingFor, j.WaitingText = waiting.Paused, "calls are paused"
				if time.Since(start) > 15*time.Second {
					j.WaitingFor, j.WaitingText = waiting.RateLimit, "the rate limit"
				}
				return j
			})
		if exitCode(t.Context(), err, true) != exitFailed {
			t.Errorf("got %v", err)
		}
		for _, text := range []string{"the job why waits: calls are paused", "the job why waits: the rate limit"} {
			if n := strings.Count(said.String(), text); n != 1 {
				t.Errorf("%q is said %d times: %s", text, n, said.String())
			}
		}
	})
}
