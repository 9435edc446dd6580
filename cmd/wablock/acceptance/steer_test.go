package acceptance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/redistest"
)

// steerObject is the answer of job, cancel or undo, as far as the test looks at it.
type steerObject struct {
	jobObject
	State      string
	Superseded int
	Canceled   int
	InFlight   int `json:"in_flight"`
	Settled    int
	Reversed   int
	Left       int
	UndoJobID  string `json:"undo_job_id"`
}

func (s *system) steer(code int, args ...string) steerObject {
	s.t.Helper()
	return objects[steerObject](s.t, s.want(code, s.run(append(args, "--json")...)).out)[0]
}

// TestWrongFile takes back a wrong file, of 64,000 numbers in its long form, while it is carried out: a pause stops the calls
// within a second, canceling withdraws what has not gone out, undoing brings back the list that there was, and no
// protected user is ever called for.
func TestWrongFile(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{AppSecret: appSecret})
	s.worker("worker", "WABLOCK_RATE=2", "WABLOCK_BURST=1", "WABLOCK_MAX_USERS_PER_CALL=100")
	all := numbers(redistest.Rounds(t, 3_000, 64_000))
	s.want(0, s.run("block", "--wait", all[0], all[1], all[2]))
	before := s.list()
	staff := all[3:5]
	s.want(0, s.run("protect", "add", staff[0], staff[1], "--reason", "staff"))

	job := s.steer(3, "block", "--job-id", "wrong", "--file", s.file("wrong.txt", strings.Join(all, "\n")))
	if job.Accepted != len(all)-2 {
		t.Fatalf("%d were accepted", job.Accepted)
	}
	s.eventually("some have succeeded", 20*time.Second, func() bool { return s.steer(3, "job", "wrong").Succeeded > 300 })
	s.want(0, s.run("pause", "--reason", "wrong file"))
	paused := time.Now()
	last := func() (at time.Time) {
		for _, c := range s.journal() {
			if len(c.Users) > 0 && c.Begin.After(at) {
				at = c.Begin
			}
		}
		return at
	}
	<-time.After(2 * time.Second) // in which no call may start
	if late := last().Sub(paused); late > time.Second {
		t.Errorf("a call started %v after the pause", late)
	}

	c := s.steer(0, "cancel", "wrong")
	if c.Canceled == 0 || c.Settled < 300 || c.Canceled+c.InFlight+c.Settled != job.Accepted {
		t.Errorf("%d canceled, %d in flight, %d settled of %d", c.Canceled, c.InFlight, c.Settled, job.Accepted)
	}
	j := s.steer(3, "job", "wrong")
	if j.State != "canceled" || j.Succeeded+j.DeadLettered+j.Superseded+j.Canceled+j.Pending != job.Accepted || j.Pending != c.InFlight {
		t.Errorf("the job is %+v", j)
	}
	u := s.steer(0, "undo", "wrong", "--reason", "wrong file")
	if u.Canceled+u.Reversed+u.Left != job.Accepted || u.Reversed == 0 || u.UndoJobID == "" {
		t.Errorf("undone: %+v", u)
	}
	s.want(0, s.run("resume"))
	if undone := s.steer(0, "job", u.UndoJobID, "--wait"); undone.Succeeded != u.Reversed {
		t.Errorf("the undoing job is %+v", undone)
	}
	if d := cmp.Diff(before, s.list()); d != "" {
		t.Errorf("the list is not as before: %s", d)
	}
	for _, c := range s.journal() {
		for _, user := range c.Users {
			if slices.Contains(staff, user.User) {
				t.Fatalf("a call named a protected user: %+v", c.Operation)
			}
		}
	}
}

// steers runs the commands that see and steer jobs, with two users who are unblocked, and leaves them so.
func (f *failover) steers(one, two string) {
	f.t.Helper()
	f.want(0, f.run("protect", "add", one, "--reason", "staff"))
	if a := f.want(2, f.run("block", one)); !strings.Contains(a.err, "protected") {
		f.t.Errorf("a protected user: %s", a.err)
	}
	f.want(0, f.run("protect", "remove", one))
	f.want(0, f.run("pause", "--reason", "a look first"))
	f.want(0, f.run("block", one, two, "--job-id", "first"))
	if j := f.steer(0, "job", "first"); j.State != "waiting" || j.Pending != 2 {
		f.t.Errorf("paused: %+v", j)
	}
	if c := f.steer(0, "cancel", "first"); c.Canceled != 2 || c.InFlight != 0 {
		f.t.Errorf("canceled: %+v", c)
	}
	f.want(0, f.run("resume"))
	f.want(0, f.run("block", one, two, "--job-id", "second", "--wait"))
	u := f.steer(0, "undo", "second")
	if u.Reversed != 2 {
		f.t.Errorf("undone: %+v", u)
	}
	if j := f.steer(0, "job", u.UndoJobID, "--wait"); j.Succeeded != 2 {
		f.t.Errorf("the undoing job: %+v", j)
	}
	f.statuses([]string{one, two}, func(o statusObject) bool { return o.State == "succeeded" && o.Operation == "unblock" })
	states := map[string]string{}
	for _, j := range objects[steerObject](f.t, f.want(0, f.run("jobs", "--json")).out) {
		states[j.JobID] = j.State
	}
	if states["first"] != "canceled" || states["second"] != "done" || states[u.UndoJobID] != "done" {
		f.t.Errorf("the jobs are %v", states)
	}
	audited := f.want(0, f.run("audit", "--json")).out
	for _, action := range []string{"protect", "unprotect", "pause", "resume", "job", "cancel", "undo"} {
		if !strings.Contains(audited, `"action":"`+action+`"`) {
			f.t.Errorf("the audit log has no %s", action)
		}
	}
}
