package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// fail lets users fail for good at one version, and puts them among the dead letters.
func (f *fixture) fail(op ledger.Operation, ns ...int) ledger.Version {
	f.Helper()
	var v ledger.Version
	for _, n := range ns {
		v = f.die(op, num(n))
		for _, e := range must(f.Ledger.Entries(f.Context(), nums(n + 1)[n:]))(f) {
			f.put(deadletter.Of(phoneNumberID, e))
		}
	}
	return v
}

var ignoreJobs = cmpopts.IgnoreFields(deadletter.RedriveReport{}, "Jobs")

func TestRedrive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		died := f.fail(ledger.Block, 1, 2, 3, 4)
		f.fail(ledger.Unblock, 5)
		f.succeed(ledger.Block, num(2))
		if _, err := f.Ledger.Discard(t.Context(), num(4), died); err != nil {
			t.Fatal(err)
		}
		f.Mark(ledger.Unblock, num(3)) // last: it stays waiting

		want := deadletter.RedriveReport{Redriven: 2, Obsolete: 3}
		dry := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{DryRun: true}))(t)
		if diff := cmp.Diff(want, dry); diff != "" {
			t.Errorf("dry run: %s", diff)
		}
		if n := len(f.all(deadletter.Filter{})); n != 5 {
			t.Errorf("%d entries after a dry run", n)
		}
		told := map[string]deadletter.Action{}
		got := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{
			Each: func(e deadletter.Letter, a deadletter.Action, _ string) { told[e.User.Reveal()] = a },
		}))(t)
		if diff := cmp.Diff(want, got, ignoreJobs); diff != "" || len(got.Jobs) != 2 {
			t.Errorf("%d jobs, %s", len(got.Jobs), diff)
		}
		wantTold := map[string]deadletter.Action{
			num(1).Reveal(): deadletter.Redriven, num(2).Reveal(): deadletter.Obsolete, num(3).Reveal(): deadletter.Obsolete,
			num(4).Reveal(): deadletter.Obsolete, num(5).Reveal(): deadletter.Redriven,
		}
		if diff := cmp.Diff(wantTold, told); diff != "" {
			t.Error(diff)
		}
		if n := f.count(); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		for i, e := range must(f.Ledger.Entries(t.Context(), nums(6)[1:]))(t) {
			want := []ledger.State{ledger.Waiting, ledger.Succeeded, ledger.Waiting, ledger.Discarded, ledger.Waiting}[i]
			if e.State != want || i == 0 && e.Version <= died {
				t.Errorf("user %d is %v at %d", i+1, e.State, e.Version)
			}
		}
	})
}

func TestRedriveWithFilter(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		old, other, foreign := letter(1, 1), letter(2, 1), letter(3, 1)
		old.LastFailedAt = old.LastFailedAt.Add(-time.Hour)
		other.Code = 131021
		foreign.PhoneNumberID = "7"
		f.put(old, other, foreign, letter(4, 1), garbage("x"))
		at := letter(4, 1).LastFailedAt
		for name, c := range map[string]struct {
			filter deadletter.Filter
			want   []int
		}{
			"all":                {deadletter.Filter{}, []int{1, 2, 3, 4, 0}},
			"code":               {deadletter.Filter{Codes: []int{131021}}, []int{2}},
			"number":             {deadletter.Filter{PhoneNumberID: "7"}, []int{3}},
			"user":               {deadletter.Filter{PhoneNumberID: phoneNumberID, Users: nums(5)[1:4]}, []int{1, 2}},
			"user of any number": {deadletter.Filter{Users: nums(5)[3:]}, []int{3, 4}},
			"before":             {deadletter.Filter{Kind: deadletter.UsersOnly, FailedBefore: at}, []int{1}},
			"after":              {deadletter.Filter{Kind: deadletter.UsersOnly, FailedAfter: at.Add(-time.Second)}, []int{2, 3, 4}},
			"users":              {deadletter.Filter{Kind: deadletter.UsersOnly}, []int{1, 2, 3, 4}},
			"malformed":          {deadletter.Filter{Kind: deadletter.MalformedOnly}, []int{0}},
			"two at once":        {deadletter.Filter{PhoneNumberID: phoneNumberID, Codes: []int{131047}}, []int{1, 4}},
		} {
			want := map[string]bool{}
			for _, n := range c.want {
				name := num(n).Reveal()
				if n == 0 {
					name = "malformed task: an empty payload"
				}
				want[name] = true
			}
			got := map[string]bool{}
			for name := range f.all(c.filter) {
				got[name] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		report := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{Codes: []int{131021}}, deadletter.RedriveOptions{Queue: ledger.Bulk}))(t)
		if report.Redriven != 1 || report.Jobs[0].Queue != ledger.Bulk || len(f.all(deadletter.Filter{})) != 4 {
			t.Errorf("%d redriven, %d left", report.Redriven, len(f.all(deadletter.Filter{})))
		}
	})
}

// A user that dies again between the enqueueing and the deletion must not get lost.
func TestRedrivenUserThatDiesAtOnceIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		died := f.fail(ledger.Block, 1)
		e, _ := f.get(1)
		// The worker is faster than the redrive: it settles, and puts, before the deletion.
		newer := f.fail(ledger.Block, 1)
		if now, _ := f.get(1); now.Version != newer || newer <= died {
			t.Fatalf("version %d", now.Version)
		}
		if err := f.dead.DropEntries(t.Context(), phoneNumberID, []deadletter.Letter{e}); err != nil {
			t.Fatal(err)
		}
		now, ok := f.get(1)
		if !ok || now.Version != newer || now.Code != 131047 || now.Attempts != 1 || now.LastFailedAt.IsZero() {
			t.Errorf("%v: version %d, want %d, code %d", ok, now.Version, newer, now.Code)
		}
	})
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		died := f.fail(ledger.Block, 1, 2)
		f.put(garbage("x"))
		if n := must(f.dead.Discard(t.Context(), deadletter.Filter{}, deadletter.DiscardOptions{DryRun: true}))(t); n != 3 {
			t.Errorf("%d would be discarded", n)
		}
		n := must(f.dead.Discard(t.Context(), deadletter.Filter{PhoneNumberID: phoneNumberID, Users: nums(3)[2:]}, deadletter.DiscardOptions{}))(t)
		if _, ok := f.get(2); n != 1 || ok || len(f.all(deadletter.Filter{})) != 2 {
			t.Errorf("%d discarded, %v", n, ok)
		}
		if n := must(f.dead.Discard(t.Context(), deadletter.Filter{IDs: []string{"none"}}, deadletter.DiscardOptions{}))(t); n != 0 {
			t.Errorf("%d discarded under an ID that does not exist", n)
		}
		f.put(letter(2, died)) // a task that runs again
		if _, ok := f.get(2); ok {
			t.Error("a discarded entry came back")
		}
		told := 0
		n = must(f.dead.Discard(t.Context(), deadletter.Filter{}, deadletter.DiscardOptions{Each: func(deadletter.Letter) { told++ }}))(t)
		if left := f.count(); n != 2 || told != 2 || left != 0 {
			t.Errorf("%d discarded, %d told, %d left", n, told, left)
		}
	})
}

func garbage(taskID string) deadletter.Letter {
	_, err := queues.Decode(queues.TypeBlock, nil)
	return deadletter.NewMalformed(queues.TypeBlock, "bulk", taskID, nil, err)
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		body := []byte(`{"v":7,"users":["+16505551234"]}`)
		_, err := queues.Decode(queues.TypeBlock, body)
		want := deadletter.NewMalformed(queues.TypeBlock, "bulk", "their-id", body, err)
		f.put(want)
		f.put(deadletter.NewMalformed(queues.TypeBlock, "bulk", "another-id", body, err)) // the same garbage
		got := f.all(deadletter.Filter{Kind: deadletter.MalformedOnly})
		if len(got) != 1 {
			t.Fatalf("%d entries", len(got))
		}
		for reason, e := range got {
			if diff := cmp.Diff(want, e, compareIDs, ignoreID); diff != "" || !strings.Contains(reason, "newer") {
				t.Error(reason, diff)
			}
			if strings.Contains(e.ID, "6505551234") {
				t.Errorf("ID %s", e.ID)
			}
		}
		report := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{}))(t)
		if diff := cmp.Diff(deadletter.RedriveReport{Refused: 1}, report); diff != "" || len(f.all(deadletter.Filter{})) != 1 {
			t.Error(diff)
		}
	})
}

const goodPayload = `{"v":1,"job_id":"j","phone_number_id":"106","version":4102444800000000,"part":0,"parts":1,` +
	`"requested_at":"2026-01-02T03:04:05Z","users":["+16505551234"]}`

func TestMalformedThatCanBeReadByNow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		// As an older worker would have put it here.
		f.put(deadletter.NewMalformed(queues.TypeUnblock, "interactive", "j:0", []byte(goodPayload), errors.New("payload format 1 is newer")))
		report := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{}))(t)
		if report.Redriven != 1 || len(f.all(deadletter.Filter{})) != 0 {
			t.Errorf("%d redriven, %d left", report.Redriven, len(f.all(deadletter.Filter{})))
		}
		if info := f.Task("interactive", "j:0"); string(info.Payload) != goodPayload || info.Type != queues.TypeUnblock {
			t.Errorf("%s %s", info.Type, info.Payload)
		}
	})
}

// TestMalformedWhoseTaskIsKept redrives a task that an older worker has completed as malformed, and
// that asynq keeps under its ID, by command and by the web UI.
func TestMalformedWhoseTaskIsKept(t *testing.T) {
	t.Parallel()
	for name, redrive := range map[string]func(t *testing.T, f *fixture){
		"by command": func(t *testing.T, f *fixture) {
			t.Helper()
			must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{}))(t)
		},
		"by the web UI": func(t *testing.T, f *fixture) {
			t.Helper()
			for _, e := range f.all(deadletter.Filter{}) {
				info := f.Task(queues.DeadLetter, e.ID)
				if err := deadletter.RedriveTask(t.Context(), f.dead, f.Producer, asynq.NewTask(info.Type, info.Payload)); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				f.put(deadletter.NewMalformed(queues.TypeUnblock, "interactive", "j:0", []byte(goodPayload), errors.New("payload format 1 is newer")))
				task := asynq.NewTask(queues.TypeUnblock, []byte(goodPayload), asynq.TaskID("j:0"), asynq.Queue("interactive"), asynq.Retention(time.Hour))
				if _, err := asynq.NewClientFromRedisClient(f.Redis).Enqueue(task); err != nil {
					t.Fatal(err)
				}
				// The task's end, as asynq's script leaves it.
				f.Redis.LRem(t.Context(), "asynq:{interactive}:pending", 0, "j:0")
				f.Redis.HSet(t.Context(), "asynq:{interactive}:t:j:0", "state", "completed")
				f.Redis.ZAdd(t.Context(), "asynq:{interactive}:completed", redis.Z{Score: 4e9, Member: "j:0"})
				redrive(t, f)
				if info := f.Task("interactive", "j:0"); info.State != asynq.TaskStatePending {
					t.Errorf("the request is lost: its task is %v", info.State)
				}
				redrive(t, f) // it is there now
				if n := must(f.Redis.LLen(t.Context(), "asynq:{interactive}:pending").Result())(t); n != 1 {
					t.Errorf("%d tasks wait", n)
				}
			})
		})
	}
}

// TestMalformedThatIsTooOld redrives a block that was asked for so long ago that the unblock which
// followed may be forgotten.
func TestMalformedThatIsTooOld(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for i, age := range []time.Duration{ledger.ForgetAfter - time.Hour, ledger.ForgetAfter + time.Hour} {
			p := queues.Payload{
				JobID: fmt.Sprint("j", i), PhoneNumberID: phoneNumberID, Operation: ledger.Block, Users: nums(i + 1)[i:], Parts: 1,
				Version: ledger.Version(time.Now().Add(-age).UnixMicro()), RequestedAt: time.Now().Add(-age),
			}
			f.put(deadletter.NewMalformed(queues.TypeBlock, "bulk", p.TaskID(), must(p.Encode())(t), errors.New("payload format 1 is newer")))
		}
		told := ""
		o := deadletter.RedriveOptions{Each: func(_ deadletter.Letter, a deadletter.Action, reason string) {
			if a == deadletter.Refused {
				told = reason
			}
		}}
		report := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, o))(t)
		if report.Redriven != 1 || report.Refused != 1 || !strings.Contains(told, "ask anew") {
			t.Errorf("%+v: %s", report, told)
		}
		f.Mark(ledger.Unblock, num(1)) // now the ledger knows better
		report = must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, o))(t)
		if report.Redriven != 1 {
			t.Errorf("%+v", report)
		}
	})
}

func TestHugeGarbageIsCut(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	f.put(deadletter.NewMalformed(strings.Repeat("t\xff", 1000), "bulk", "id", make([]byte, 3<<20), errors.New("no +1 650 555 1234 "+strings.Repeat("y", 999))))
	for reason, e := range f.all(deadletter.Filter{}) {
		m := e.Malformed
		if !m.Truncated() || len(m.Payload) != 1<<20 || m.Size != 3<<20 || len(m.SHA256) != 64 || len(m.Type) > 1000 || len(reason) > 300 {
			t.Errorf("%d of %d bytes, type of %d, reason of %d", len(m.Payload), m.Size, len(m.Type), len(reason))
		}
		if strings.Contains(reason, "650") {
			t.Errorf("the reason shows a number: %s", reason)
		}
	}
	told := ""
	report := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{
		Each: func(_ deadletter.Letter, _ deadletter.Action, reason string) { told = reason },
	}))(t)
	if report.Refused != 1 || !strings.Contains(told, "too long") {
		t.Errorf("%+v: %s", report, told)
	}
}

// serve consumes the dead-letter queue as a worker does, until done says so.
func (f *fixture) serve(done func() bool) {
	f.Helper()
	srv := asynq.NewServerFromRedisClient(f.Redis, asynq.Config{
		Queues: map[string]int{queues.DeadLetter: 1}, TaskCheckInterval: 10 * time.Millisecond,
		RetryDelayFunc: deadletter.RedriveDelay, LogLevel: asynq.FatalLevel, Concurrency: 4,
	})
	err := srv.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		return deadletter.RedriveTask(ctx, f.dead, f.Producer, t)
	}))
	if err != nil {
		f.Fatal(err)
	}
	defer srv.Shutdown()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			f.Error("the worker did not come to it in time")
			return
		}
	}
}

func (f *fixture) run(ids ...string) {
	f.Helper()
	for _, id := range ids {
		if err := f.Inspector.RunTask(queues.DeadLetter, id); err != nil {
			f.Fatal(err)
		}
	}
}

func (f *fixture) processed() int {
	info, err := f.Inspector.GetQueueInfo(queues.DeadLetter)
	if err != nil {
		f.Fatal(err)
	}
	return info.Processed + info.Failed
}

func TestRunInTheWebUI(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.fail(ledger.Block, 1, 2)
		f.put(garbage("x"))
		f.Mark(ledger.Unblock, num(2))
		for _, e := range f.all(deadletter.Filter{}) {
			f.run(e.ID)
		}
		stray := asynq.NewTask("email:send", []byte("hello"), asynq.Queue(queues.DeadLetter), asynq.TaskID("stray"))
		if _, err := asynq.NewClientFromRedisClient(f.Redis).Enqueue(stray); err != nil {
			t.Fatal(err)
		}
		f.serve(func() bool {
			return f.count() == 2 && f.processed() >= 4
		})
		states := must(f.Ledger.Entries(t.Context(), nums(3)[1:]))(t)
		if states[0].State != ledger.Waiting || states[0].Operation != ledger.Block || states[1].Operation != ledger.Unblock {
			t.Errorf("the ledger says %+v", states)
		}
		left := map[string]bool{}
		for reason, e := range f.all(deadletter.Filter{}) {
			left[reason] = true
			info := f.Task(queues.DeadLetter, e.ID)
			if info.NextProcessAt.Year() < 2098 {
				t.Errorf("%s: %v at %v", reason, info.State, info.NextProcessAt)
			}
			if e.Malformed.Type == queues.TypeBlock && !strings.Contains(info.LastErr, "still malformed") {
				t.Errorf("the UI says %q", info.LastErr)
			}
		}
		want := map[string]bool{
			"malformed task: an empty payload": true,
			"malformed task: a task of another type than block_users:dead_letter in the queue dead-letter": true,
		}
		if diff := cmp.Diff(want, left); diff != "" {
			t.Error(diff)
		}
	})
}

func TestManyEntriesStayAndAreFoundWhileOthersGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const n = 2200
		letters := make([]deadletter.Letter, n)
		var half []user.ID
		for i := range letters {
			letters[i] = letter(i, 1)
			if i%2 == 0 {
				half = append(half, num(i))
			}
		}
		f.put(letters...)
		if got := f.count(); got != n {
			t.Fatalf("%d entries", got)
		}
		// Every second one goes while the others are read.
		seen, i := map[string]bool{}, 0
		for e, err := range f.dead.All(t.Context(), deadletter.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			seen[e.User.Reveal()] = true
			if i++; i == 900 {
				if err := f.dead.Remove(t.Context(), phoneNumberID, half...); err != nil {
					t.Fatal(err)
				}
			}
		}
		for j := 1; j < n; j += 2 {
			if !seen[num(j).Reveal()] {
				t.Fatalf("entry %d was passed over", j)
			}
		}
		report := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{}))(t)
		if report.Redriven != n/2 || len(report.Jobs) != 2 || f.count() != 0 {
			t.Errorf("%d redriven in %d jobs", report.Redriven, len(report.Jobs))
		}
	})
}
