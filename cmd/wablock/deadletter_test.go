package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/reply"
)

// kill lets the worker's failing numbers die, and puts a malformed task beside them.
func (f *fixture) kill(numbers ...string) {
	f.Helper()
	f.worker(numbers...)
	f.wablock(append([]string{"block", "--wait"}, numbers...)...).exits(exitPartly)
	bad := deadletter.NewMalformed("block_users:block", "bulk", "garbage", []byte("{"), queues.ErrMalformed)
	if err := deadletter.New(f.rdb).Put(f.Context(), bad); err != nil {
		f.Fatal(err)
	}
	f.await(func() bool { return len(f.listed()) == len(numbers) })
}

// patience is longer than anything that a test waits for takes on a busy machine.
const patience = time.Minute

// await looks until it is so: a number is settled before it is put into the queue.
func (f *fixture) await(so func() bool) {
	f.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); !so(); {
		if time.Since(start) > patience {
			f.Fatal("never")
		}
		<-tick.C // leaves the processor to what it waits for
	}
}

// listed returns the users of `dead-letter list`, sorted.
func (f *fixture) listed(args ...string) (users []string) {
	f.Helper()
	for _, o := range f.wablock(append([]string{"dead-letter", "list", "--json"}, args...)...).exits(exitDone).objects() {
		if u, ok := o["user"].(string); ok {
			users = append(users, u)
		}
	}
	slices.Sort(users)
	return users
}

func TestDeadLetterList(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("dead-letter", "list").exits(exitDone).says("no entries")
	none := f.wablock("dead-letter", "redrive", "--all", "--wait", "--json").exits(exitDone).object()
	if d := cmp.Diff(map[string]any{"redriven": 0.0, "succeeded": 0.0, "pending": 0.0}, only(none, "redriven", "succeeded", "pending")); d != "" {
		t.Error(d)
	}
	f.kill(number(1), number(2), number(3))
	var malformed []map[string]any
	for _, o := range f.wablock("dead-letter", "list", "--json").exits(exitDone).objects() {
		if o["user"] == nil {
			malformed = append(malformed, only(o, "reason", "task_type", "queue", "task_id", "payload_size"))
			continue
		}
		for _, key := range []string{"first_failed_at", "last_failed_at", "version", "id"} {
			if o[key] == nil {
				t.Errorf("no %s in %v", key, o)
			}
			delete(o, key)
		}
		want := map[string]any{
			"user": o["user"], "phone_number_id": phoneNumberID, "operation": "block", "code": 131047.0, "message": "Re-engagement message",
			"details": "more than 24 hours", "fbtrace_id": "Atrace", "attempts": 1.0,
		}
		if diff := cmp.Diff(want, o); diff != "" {
			t.Error(diff)
		}
	}
	want := []map[string]any{{"reason": "malformed task", "task_type": "block_users:block", "queue": "bulk", "task_id": "garbage", "payload_size": 1.0}}
	if diff := cmp.Diff(want, malformed); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"all":        {[]string{"--all"}, []string{number(1), number(2), number(3)}},
		"number":     {[]string{number(2), number(7)}, []string{number(2)}},
		"code":       {[]string{"--code", "131047"}, []string{number(1), number(2), number(3)}},
		"other code": {[]string{"--code", "139103,1"}, nil},
		"older":      {[]string{"--older-than", "1h"}, nil},
		"elsewhere":  {[]string{"--phone-number-id", "5"}, nil},
	} {
		if got := f.listed(c.args...); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if got := f.without("WABLOCK_PHONE_NUMBER_ID").listed(); len(got) != 3 {
		t.Errorf("without a phone number ID: %v", got)
	}
	table := f.wablock("dead-letter", "list").exits(exitDone).out
	for _, want := range []string{number(1), "131047", "Re-engagement message: more than 24 hours", "(malformed task)"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has nothing of %q:\n%s", want, table)
		}
	}
}

func TestDeadLetterListOfMany(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("dead-letter", "list", "--summary").exits(exitDone).says("no entries")
	f.kill(number(1), number(2), number(3))
	if n := len(f.wablock("dead-letter", "list", "--json", "--limit", "2").exits(exitDone).says("more").objects()); n != 2 {
		t.Errorf("%d entries", n)
	}
	if r := f.wablock("dead-letter", "list", "--json", "--limit", "4").exits(exitDone); len(r.objects()) != 4 || r.err != "" {
		t.Errorf("%s%s", r.out, r.err)
	}
	sums := f.wablock("dead-letter", "list", "--summary", "--json").exits(exitDone).objects()
	for _, s := range sums {
		if at, err := time.Parse(time.RFC3339, s["oldest"].(string)); err != nil || time.Since(at).Abs() > patience {
			t.Errorf("oldest: %v", s)
		}
		delete(s, "oldest")
	}
	want := []map[string]any{
		{"code": 131047.0, "message": "Re-engagement message", "count": 3.0},
		{"code": 0.0, "message": "(malformed task)", "count": 1.0},
	}
	if d := cmp.Diff(want, sums); d != "" {
		t.Error(d)
	}
	if out := f.wablock("dead-letter", "list", "--summary").exits(exitDone).out; !strings.Contains(out, "131047") || strings.Contains(out, number(1)) {
		t.Errorf("%s", out)
	}
	f.wablock("dead-letter", "list", "--summary", "--limit", "1").exits(exitUsage)
}

func TestRedrive(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.kill(number(1), number(2), number(3))
	dry := f.wablock("dead-letter", "redrive", "--all", "--dry-run", "--json").exits(exitPartly).object()
	if dry["redriven"] != 3.0 || dry["refused"] != 1.0 || dry["dry_run"] != true || len(dry["entries"].([]any)) != 4 {
		t.Errorf("got %v", dry)
	}
	if got := f.listed(); len(got) != 3 {
		t.Fatalf("a dry run left %v", got)
	}
	if out := f.wablock("dead-letter", "redrive", number(1), "--dry-run").exits(exitDone).out; !strings.Contains(out, "Would redrive: 1 entry; 0 obsolete.") {
		t.Errorf("got %q", out)
	}
	r := f.wablock("dead-letter", "redrive", "--json", "--wait", number(2)).exits(exitPartly)
	if o := r.object(); o["redriven"] != 1.0 || o["dead_lettered"] != 1.0 || len(o["jobs"].([]any)) != 1 {
		t.Errorf("got %v", o)
	}
	f.wablock("unblock", "--wait", number(3)).exits(exitPartly)
	f.wablock("dead-letter", "redrive", "--code", "131047").exits(exitDone)
	f.wablock("dead-letter", "redrive", "--all").exits(exitPartly).says("1 malformed task")
}

// TestRedriveOfProtected: entries of protected users stay, and the job names who has redriven.
func TestRedriveOfProtected(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.kill(number(1), number(2))
	f.wablock("protect", "add", number(1), "--reason", "staff").exits(exitDone)
	dry := f.wablock("dead-letter", "redrive", number(1), number(2), "--dry-run", "--json").exits(exitPartly).object()
	entries, _ := dry["entries"].([]any)
	if dry["redriven"] != 1.0 || dry["protected"] != 1.0 || len(entries) != 2 {
		t.Errorf("got %v", dry)
	}
	r := f.wablock("dead-letter", "redrive", number(1), number(2), "--by", "ana").exits(exitPartly).says("1 entry of protected users stay")
	if !strings.Contains(r.out, "Redriven: 1 entry in 1 job; 0 obsolete, 1 protected, which stay.") {
		t.Errorf("got %q", r.out)
	}
	if got := f.listed(); !slices.Contains(got, number(1)) {
		t.Errorf("left are %v", got)
	}
	if jobs := f.wablock("jobs", "--json", "--limit", "1").exits(exitDone).objects(); jobs[0]["requested_by"] != "ana" {
		t.Errorf("the job is %v", jobs)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.kill(number(1), number(2), number(3))
	o := f.wablock("dead-letter", "discard", "--dry-run", "--json", number(1)).exits(exitDone).object()
	if o["discarded"] != 1.0 || len(f.listed()) != 3 {
		t.Errorf("a dry run did %v", o)
	}
	f.wablock("dead-letter", "discard", number(1)).exits(exitDone)
	if got := f.listed(); !slices.Equal(got, []string{number(2), number(3)}) {
		t.Errorf("left: %v", got)
	}
	s := f.wablock("status", "--json", number(1)).exits(exitDone).object()
	if s["state"] != "dead_lettered" || s["discarded"] != true {
		t.Errorf("got %v", s)
	}
	if o = f.wablock("dead-letter", "discard", "--all", "--json").exits(exitDone).object(); o["discarded"] != 3.0 {
		t.Errorf("got %v", o)
	}
	info, err := asynq.NewInspectorFromRedisClient(f.rdb).GetQueueInfo(queues.DeadLetter)
	if err != nil || info.Size != 0 {
		t.Errorf("left: %v, %v", info, err)
	}
}

func TestOtherPhoneNumbersStay(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.kill(number(1))
	other := f.with("WABLOCK_PHONE_NUMBER_ID", "77")
	other.kill(number(1), number(2))
	f.wablock("dead-letter", "discard", "--all").exits(exitDone)
	if got := f.listed(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	if got := other.listed(); !slices.Equal(got, []string{number(1), number(2)}) {
		t.Errorf("of the other phone number are left: %v", got)
	}
}

// What the API never said is there all the same: a script need not ask whether it is.
func TestDeadLetterWithoutACodeHasAllFields(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(reply.OfLetter(deadletter.Letter{User: mustUser(number(1)), PhoneNumberID: phoneNumberID, Operation: ledger.Block, Attempts: 12}))
	var got map[string]any
	if err = errors.Join(err, json.Unmarshal(b, &got)); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"code": 0.0, "message": "", "details": "", "fbtrace_id": "", "attempts": 12.0}
	if d := cmp.Diff(want, only(got, "code", "message", "details", "fbtrace_id", "attempts")); d != "" {
		t.Error(d)
	}
}
