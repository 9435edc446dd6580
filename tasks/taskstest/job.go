package taskstest

import (
	"slices"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// job is a request that was accepted. The fake's mu guards it.
type job struct {
	r        tasks.Request
	version  ledger.Version
	at       time.Time
	users    []*request
	canceled bool
	undoOf   string // the ID of the job that this one undoes
}

// request holds one user of a job.
type request struct {
	job     *job
	user    user.ID
	state   tasks.UserState
	code    int
	message string
	ended   time.Time
	before  *request // the newest request of the user until this one came
}

// base returns the operation that had succeeded last before the request, "" for none.
func (one *request) base() tasks.Operation {
	for b := one.before; b != nil; b = b.before {
		if b.state == tasks.UserSucceeded {
			return b.job.r.Operation
		}
	}
	return ""
}

func (one *request) end(s tasks.UserState) { one.state, one.ended = s, time.Now() }

// same reports whether a request under the job's ID repeats it.
func (j *job) same(r tasks.Request) bool {
	return j.r.Operation == r.Operation && j.r.PhoneNumberID == r.PhoneNumberID && j.r.Queue == r.Queue &&
		j.r.Until.IsZero() == r.Until.IsZero() && slices.Equal(j.r.Users, r.Users)
}

func (j *job) count(s tasks.UserState) (n int) {
	for _, one := range j.users {
		if one.state == s {
			n++
		}
	}
	return n
}

func (j *job) status() tasks.JobStatus {
	c := ledger.Counts{
		Succeeded: j.count(tasks.UserSucceeded), Dead: j.count(tasks.UserDeadLettered), Superseded: j.count(tasks.UserSuperseded),
		Canceled: j.count(tasks.UserCanceled), Flagged: j.canceled, Known: true,
	}
	for _, one := range j.users {
		if one.state == tasks.UserDeadLettered {
			if c.Codes == nil {
				c.Codes = map[int]int{}
			}
			c.Codes[one.code]++
		}
		if one.ended.After(c.LastEnded) {
			c.LastEnded = one.ended
		}
	}
	record := ledger.JobRecord{
		ID: j.r.JobID, Operation: j.r.Operation, Queue: j.r.Queue, At: j.at.UnixMilli(), Accepted: len(j.users), Rejected: len(j.r.Rejected),
		Parts: (len(j.users) + queues.MaxUsersPerTask - 1) / queues.MaxUsersPerTask, Version: j.version, Counts: c,
		UndoOf: j.undoOf,
		By:     ledger.Text{By: j.r.Requester, Reason: j.r.Reason, Reference: j.r.Reference, Standing: j.r.Standing},
	}
	if j.r.Delay > 0 {
		record.Due = j.at.Add(j.r.Delay).UnixMilli()
	}
	if !j.r.Until.IsZero() {
		record.Ends = j.r.Until.UnixMilli()
	}
	return tasks.StatusOfJob(j.r.PhoneNumberID, record, time.Now())
}

// report returns the users, and the inputs that were rejected.
func (j *job) report() []tasks.JobUser {
	planned := j.r.Delay > 0 && time.Now().Before(j.at.Add(j.r.Delay))
	all := make([]tasks.JobUser, 0, len(j.users)+len(j.r.Rejected))
	for _, one := range j.users {
		u := tasks.JobUser{Input: one.user.Reveal(), User: one.user, State: one.state, Code: one.code, Reason: one.message, SettledAt: one.ended}
		if given, ok := j.r.Given[one.user]; ok {
			u.Input = given
		}
		if planned && one.state == tasks.UserPending {
			u.State = tasks.UserPlanned
		}
		all = append(all, u)
	}
	for _, x := range j.r.Rejected {
		all = append(all, tasks.JobUser{Input: x.Input, State: tasks.UserRejected, Line: x.Line, Reason: x.Reason})
	}
	return all
}
