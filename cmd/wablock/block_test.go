package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/redistest"
)

// only keeps some keys of an object.
func only(o map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, k := range keys {
		if v, ok := o[k]; ok {
			out[k] = v
		}
	}
	return out
}

func TestBlockAnswersInJSON(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := f.wablock("block", "--json", number(1), "+1 (650) 200-0001", "12", number(2)).exits(exitPartly).says("argument 3 rejected", "too short")
	o := r.object()
	if id, _ := o["job_id"].(string); id == "" {
		t.Errorf("no job ID in %v", o)
	}
	delete(o, "job_id")
	want := map[string]any{
		"operation": "block", "phone_number_id": phoneNumberID, "accepted": 2.0, "tasks": 1.0, "queue": "interactive",
		"rejected": []any{map[string]any{"input": "12", "line": 3.0, "reason": "too short to be a phone number"}},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Error(diff)
	}
	o = f.wablock("unblock", "--json", "--queue", "bulk", "--job-id", "mine", number(3)).exits(exitDone).object()
	want = map[string]any{
		"job_id": "mine", "operation": "unblock", "phone_number_id": phoneNumberID, "accepted": 1.0, "tasks": 1.0, "queue": "bulk", "rejected": []any{},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Error(diff)
	}
}

func TestBlockAnswersPeople(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := f.wablock("block", number(1)).exits(exitDone)
	if !strings.Contains(r.out, "1 number to block for phone number ID "+phoneNumberID) || r.err != "wablock: no worker is running: the job waits until one is started with `wablock worker`\n" {
		t.Errorf("got %q and %q", r.out, r.err)
	}
	r = f.wablock("block", number(1), "0000").exits(exitPartly)
	if strings.Contains(r.err, "0000") {
		t.Errorf("messages repeat the input: %q", r.err)
	}
}

func TestNothingValidAnswersWithTheRejections(t *testing.T) {
	t.Parallel()
	f := setup(t)
	o := f.wablock("block", "--json", "12").exits(exitUsage).object()
	if o["accepted"] != 0.0 || o["tasks"] != 0.0 || len(o["rejected"].([]any)) != 1 || o["job_id"] != nil {
		t.Errorf("got %v", o)
	}
}

func TestFilesOfNumbers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, c := range map[string]struct {
		text     string
		code     int
		accepted int
		lines    []float64 // of the rejected
	}{
		"plain":             {number(1) + "\n" + number(2) + "\n", exitDone, 2, nil},
		"no last newline":   {number(1) + "\n" + number(2), exitDone, 2, nil},
		"CRLF":              {number(1) + "\r\n" + number(2) + "\r\n", exitDone, 2, nil},
		"BOM":               {"\ufeff" + number(1) + "\n" + number(2) + "\n", exitDone, 2, nil},
		"BOM and header":    {"\ufeffphone\r\n" + number(1) + "\r\n", exitDone, 1, nil},
		"comments":          {"# mine\n\n" + number(1) + "\n   \n#" + number(2) + "\n", exitDone, 1, nil},
		"header":            {"name,phone_number\nBob," + number(1) + "\n", exitDone, 1, nil},
		"header of others":  {"name,number,x\n\"Bob, Jr.\"," + number(1) + ",y\n", exitDone, 1, nil},
		"first column":      {number(1) + ",Bob\n" + number(2) + ",Al\n", exitDone, 2, nil},
		"duplicates":        {number(1) + "\n+1 (650) 200-0001\n001650.200.0001\n", exitDone, 1, nil},
		"broken lines":      {number(1) + "\nhello\n\n+999123456789\n" + number(2) + "\n12\n", exitPartly, 2, []float64{2, 4, 6}},
		"broken first line": {"12345\n" + number(1) + "\n", exitPartly, 1, []float64{1}},
		"a word on top":     {"hello\n" + number(1) + "\n", exitDone, 1, nil},
		"stray quote":       {number(1) + "\n\"" + number(2) + "\n" + number(3) + "\n", exitPartly, 2, []float64{2}},
		"nothing but wrong": {"hello\nworld\n", exitUsage, 0, []float64{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := *f
			g.T = t
			for _, way := range []string{"file", "stdin"} {
				var r result
				if way == "file" {
					r = g.wablock("block", "--json", "--file", g.write(c.text))
				} else {
					r = g.wablockWith(t.Context(), c.text, "block", "--json", "--file", "-")
				}
				o := r.exits(c.code).object()
				var lines []float64
				for _, rejected := range o["rejected"].([]any) {
					lines = append(lines, rejected.(map[string]any)["line"].(float64))
				}
				if o["accepted"] != float64(c.accepted) || !cmp.Equal(c.lines, lines) {
					t.Errorf("%s: got %v", way, o)
				}
			}
		})
	}
}

func TestFilesThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, c := range map[string]struct{ text, says string }{
		"empty":        {"", "--file"},
		"blank":        {"\n\n \n", "--file"},
		"comments":     {"# none\n", "--file"},
		"header alone": {"phone\n", "--file"},
		"binary":       {"\x7fELF\x02\x01\x00\x00" + number(1) + "\n", "not a text file"},
		"no text":      {string([]byte{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0xff, 0xd8}), "not a text file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := *f
			g.T = t
			if r := g.wablock("block", "--json", "--file", g.write(c.text)).exits(exitUsage).says(c.says); r.out != "" {
				t.Errorf("stdout has %.200q", r.out)
			}
			g.wablockWith(t.Context(), c.text, "block", "--file", "-").exits(exitUsage).says(c.says)
		})
	}
	f.Cleanup(func() {
		if n := f.rdb.Exists(context.WithoutCancel(t.Context()), "wablock:{"+phoneNumberID+"}:users").Val(); n != 0 {
			t.Error("something was enqueued")
		}
	})
}

// TestManyLinesOfWhichOneInAHundredIsBroken is on a real Redis, for its pace.
func TestManyLinesOfWhichOneInAHundredIsBroken(t *testing.T) {
	t.Parallel()
	f := setup(t)
	real := redistest.Start(t)
	f = f.with("WABLOCK_REDIS_URL", "redis://"+real.Addr)
	const lines = 100_000
	var b strings.Builder
	for n := range lines {
		if n%100 == 50 {
			fmt.Fprintf(&b, "broken %d\n", n)
		} else {
			b.WriteString(number(n) + "\n")
		}
	}
	o := f.wablock("block", "--json", "--file", f.write(b.String())).exits(exitPartly).object()
	rejected := o["rejected"].([]any)
	if o["accepted"] != 99_000.0 || o["tasks"] != 99.0 || len(rejected) != 1000 || o["queue"] != "bulk" {
		t.Errorf("accepted %v in %v tasks, rejected %d", o["accepted"], o["tasks"], len(rejected))
	}
	for i, r := range rejected {
		if line := r.(map[string]any)["line"]; line != float64(i*100+51) {
			t.Fatalf("rejection %d names line %v", i, line)
		}
	}
	few := strings.Join(strings.SplitAfter(b.String(), "\n")[:3000], "")
	r := f.wablock("block", "--file", f.write(few)).exits(exitPartly).says("line 51 rejected", "10 more rejected")
	if n := strings.Count(r.err, "\n"); n > 25 {
		t.Errorf("%d lines of messages", n)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker(number(3))
	o := f.wablock("block", "--json", "--wait", number(1), number(2)).exits(exitDone).object()
	want := map[string]any{"accepted": 2.0, "succeeded": 2.0, "dead_lettered": 0.0, "superseded": 0.0, "pending": 0.0}
	if diff := cmp.Diff(want, only(o, "accepted", "succeeded", "dead_lettered", "superseded", "pending")); diff != "" {
		t.Error(diff)
	}
	r := f.wablock("block", "--json", "--wait", number(1), number(3)).exits(exitPartly).says("1 number dead-lettered", "dead-letter list")
	if o = r.object(); o["succeeded"] != 1.0 || o["dead_lettered"] != 1.0 {
		t.Errorf("got %v", o)
	}
	r = f.wablock("unblock", "--wait", number(1), "x").exits(exitPartly).says("1 of 1 settled: 1 succeeded", "argument 2 rejected")
	if !strings.Contains(r.out, "to unblock") {
		t.Errorf("stdout has %q", r.out)
	}
}

func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r := f.wablockWith(ctx, "", "block", "--json", "--wait", number(1)).exits(exitInterrupted).says("goes on")
	if o := r.object(); o["job_id"] == "" || o["pending"] != 1.0 {
		t.Errorf("got %v", o)
	}
}

// TestWaitWithoutAWorker says after a while why it lasts, and ends at its timeout.
func TestWaitWithoutAWorker(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.until("no worker is running", "block", "--wait", number(1)).exits(exitInterrupted).says("no worker is running", "wablock worker")
	r := f.wablock("block", "--json", "--wait", "--timeout", "1s", number(1)).exits(exitFailed).says("timeout after 1s: 0 of 1 settled", "goes on")
	if r.object()["pending"] != 1.0 {
		t.Errorf("got %v", r.out)
	}
	f.wablock("block", "--timeout", "6s", number(1)).exits(exitUsage).says("--wait")
	f.worker()
	f.wablock("block", "--wait", "--timeout", "1d", number(1)).exits(exitDone)
}

func TestDelayedJobWaits(t *testing.T) {
	t.Parallel()
	f := setup(t)
	o := f.wablock("block", "--json", "--delay", "1h", number(1)).exits(exitDone).object()
	if o["accepted"] != 1.0 {
		t.Errorf("got %v", o)
	}
	if state := f.wablock("status", "--json", number(1)).exits(exitDone).object()["state"]; state != "unknown" {
		t.Errorf("a job that is not due yet is %v", state)
	}
}

func TestEnqueueFailsHalfway(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Input{})
	if err != nil {
		t.Fatal(err)
	}
	got := enqueueFailed(t.Context(), cfg, fmt.Errorf("x: %w", &tasks.EnqueueError{JobID: "mine", Tasks: 1, TotalTasks: 2, Err: context.DeadlineExceeded}))
	if exitCode(t.Context(), got, true) != exitFailed || !strings.Contains(got.Error(), "--job-id mine") {
		t.Errorf("got %v", got)
	}
}

// TestJobConflict: the same numbers in another order are the same job, and there is one way on from a conflict.
func TestJobConflict(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", "--job-id", "y", number(1), number(2)).exits(exitDone)
	f.wablock("block", "--job-id", "y", number(2), number(1), number(2)).exits(exitDone)
	if n := f.usersEnqueued(); n != 2 {
		t.Errorf("%d users", n)
	}
	r := f.wablock("block", "--job-id", "y", number(3)).exits(exitFailed).says("choose another --job-id")
	if strings.Contains(r.err, "repeat") {
		t.Errorf("it contradicts itself: %s", r.err)
	}
}
