package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Action names the outcome of a letter that was to be redriven.
type Action string

// The actions. A letter is Obsolete when its user succeeded since or is wanted in a newer
// request: it is discarded. A malformed task that still can't be read is Refused, and stays; so does the
// block of a user who is Protected.
const (
	Redriven  Action = "redriven"
	Obsolete  Action = "obsolete"
	Refused   Action = "refused"
	Protected Action = "protected"
)

// RedriveOptions tune Redrive; the zero value redrives.
type RedriveOptions struct {
	// DryRun changes nothing, and reports what would be done.
	DryRun bool
	// Queue is as in [Request].
	Queue ledger.Queue
	// Requester and Reason say who redrives and why; default "redrive", and "dead letters".
	Requester, Reason string
	// Each, if set, is told of each letter; reason says why one was refused, or is protected.
	Each func(e Letter, a Action, reason string)
}

// RedriveReport counts what Redrive did.
type RedriveReport struct {
	Redriven, Obsolete, Refused, Protected int
	// Jobs carry the redriven users, at most 1,000 each; none in a dry run.
	Jobs []tasks.Job
}

// ErrRefused is wrapped by RedriveTask's error over a malformed task that still can't be read.
var ErrRefused = errors.New("the task is still malformed: discard it")

// Redrive asks again for what the letters that pass f asked for, as new versions, and then
// deletes them. After an error it is safe to repeat: letters that were redriven, but not yet
// deleted, are obsolete then. The report counts what was done until then.
func Redrive(ctx context.Context, d *Queue, p *tasks.Producer, f Filter, o RedriveOptions) (RedriveReport, error) {
	r := &redriving{d: d, p: p, o: o, groups: make(map[group][]Letter)}
	if err := r.run(ctx, f); err != nil {
		return r.report, fmt.Errorf("tasks: redrive: %w", err)
	}
	return r.report, nil
}

// group identifies the users that can share a job.
type group struct {
	phoneNumberID string
	operation     ledger.Operation
}

// redriving is one run of Redrive.
type redriving struct {
	d      *Queue
	p      *tasks.Producer
	o      RedriveOptions
	groups map[group][]Letter
	report RedriveReport
}

// run gathers users until they fill a task, so that a filter that lets few through does not
// make a job of each.
func (r *redriving) run(ctx context.Context, f Filter) error {
	for e, err := range r.d.All(ctx, f) {
		if err != nil {
			return err
		}
		if e.Malformed != nil {
			if err := r.malformed(ctx, e); err != nil {
				return err
			}
			continue
		}
		g := group{e.PhoneNumberID, e.Operation}
		r.groups[g] = append(r.groups[g], e)
		if len(r.groups[g]) == queues.MaxUsersPerTask {
			if err := r.flush(ctx, g); err != nil {
				return err
			}
		}
	}
	for g := range r.groups {
		if err := r.flush(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (r *redriving) flush(ctx context.Context, g group) error {
	letters := r.groups[g]
	delete(r.groups, g)
	var v ledger.Version
	if !r.o.DryRun {
		var err error
		if v, err = r.p.RepeatVersion(ctx, g.phoneNumberID, again(letters)); err != nil {
			return err
		}
	}
	live, obsolete, err := sift(ctx, r.d, g.phoneNumberID, letters)
	if err != nil {
		return err
	}
	live, protected, why, err := partProtected(ctx, r.d, g, live)
	if err != nil {
		return err
	}
	if !r.o.DryRun {
		if len(live) > 0 {
			jobs, err := enqueueAgain(ctx, r.p, g, live, v, r.o)
			r.report.Jobs = append(r.report.Jobs, jobs...)
			if err != nil {
				return err
			}
		}
		if err := r.d.dropLetters(ctx, g.phoneNumberID, slices.Concat(live, obsolete)); err != nil {
			return err
		}
	}
	r.tell(live, Redriven, "")
	r.tell(obsolete, Obsolete, "")
	for _, e := range protected {
		r.tell([]Letter{e}, Protected, why[e.User].Why())
	}
	r.report.Redriven += len(live)
	r.report.Obsolete += len(obsolete)
	r.report.Protected += len(protected)
	return nil
}

func (r *redriving) tell(letters []Letter, a Action, reason string) {
	if r.o.Each == nil {
		return
	}
	for _, e := range letters {
		r.o.Each(e, a, reason)
	}
}

func (r *redriving) malformed(ctx context.Context, e Letter) error {
	payload, reason, err := readable(ctx, r.d, e.Malformed)
	if err != nil {
		return err
	}
	if reason != "" {
		r.report.Refused++
		r.tell([]Letter{e}, Refused, reason)
		return nil
	}
	if !r.o.DryRun {
		if err := enqueueOriginal(ctx, r.d, e.Malformed, payload); err != nil {
			return err
		}
		if err := r.d.deleteTasks(ctx, []string{e.ID}); err != nil {
			return err
		}
	}
	r.report.Redriven++
	r.tell([]Letter{e}, Redriven, "")
	return nil
}

// sift parts the letters that the ledger still holds dead from those that are obsolete.
func sift(ctx context.Context, d *Queue, phoneNumberID string, letters []Letter) (live, obsolete []Letter, err error) {
	users := make([]user.ID, len(letters))
	for i, e := range letters {
		users[i] = e.User
	}
	l := ledger.New(d.rdb, phoneNumberID)
	states, err := l.Entries(ctx, users)
	if err != nil {
		return nil, nil, err
	}
	digests := make([]string, len(states))
	for i, s := range states {
		digests[i] = s.Job.Text
	}
	texts, err := l.Texts(ctx, digests)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range states {
		letters[i].Ends, letters[i].Standing = s.Job.Ends, texts[s.Job.Text].Standing
		ended := s.Job.Ends > 0 && s.Job.Ends <= time.Now().UnixMilli() && s.Version == letters[i].Version // a timed block
		ended = ended || s.Version == letters[i].Version && (s.State == ledger.Succeeded || s.State == ledger.Discarded)
		if s.Version > letters[i].Version || ended {
			obsolete = append(obsolete, letters[i])
		} else {
			live = append(live, letters[i])
		}
	}
	return live, obsolete, nil
}

// again returns the letters as requests that ended.
func again(letters []Letter) []tasks.Ended {
	all := make([]tasks.Ended, len(letters))
	for i, e := range letters {
		all[i] = tasks.Ended{User: e.User, Version: e.Version, Ends: e.Ends, Standing: e.Standing}
	}
	return all
}

func enqueueAgain(ctx context.Context, p *tasks.Producer, g group, letters []Letter, v ledger.Version, o RedriveOptions) ([]tasks.Job, error) {
	return p.Repeat(ctx, tasks.Request{
		Operation: g.operation, PhoneNumberID: g.phoneNumberID, Queue: o.Queue, Version: v, Unparked: true,
		Requester: cmp.Or(o.Requester, "redrive"), Reason: cmp.Or(o.Reason, "redriven from the dead letters"),
	}, again(letters))
}

// readable decodes a malformed task, which an older worker may have put here; reason says why
// it can't go back.
func readable(ctx context.Context, d *Queue, m *Malformed) (p queues.Payload, reason string, err error) {
	if m.Truncated() {
		return p, "its payload was too long to keep", nil
	}
	p, unreadable := queues.Decode(m.Type, m.Payload)
	if unreadable != nil {
		return p, strings.TrimPrefix(unreadable.Error(), "tasks: "), nil
	}
	reason, err = forgotten(ctx, d, p)
	return p, reason, err
}

// forgotten returns why a task may not be put back: it is so old that the ledger may have dropped
// what was asked for since of a user that it does not know.
func forgotten(ctx context.Context, d *Queue, p queues.Payload) (reason string, err error) {
	if time.Since(p.Version.Time()) < ledger.ForgetAfter {
		return "", nil
	}
	records, err := ledger.New(d.rdb, p.PhoneNumberID).Entries(ctx, p.Users)
	for _, e := range records {
		if e.State == ledger.Unknown {
			return "it is of " + p.Version.Time().UTC().Format(time.DateOnly) +
				", and what was asked for since may be forgotten: ask anew for its users, then discard it", err
		}
	}
	return "", err
}

// enqueueOriginal puts a task back as it was. It keeps its version: what was asked for since
// still wins. A task of its ID that is there counts only until it has ended: asynq keeps
// completed ones, and the worker that could not read it has completed it.
func enqueueOriginal(ctx context.Context, d *Queue, m *Malformed, payload queues.Payload) error {
	q := ledger.Queue(m.Queue)
	if !q.Valid() {
		q = ledger.Bulk
	}
	task := asynq.NewTask(m.Type, m.Payload, append(queues.Options(payload.TaskID()),
		asynq.Queue(string(q)), asynq.Retention(tasks.DefaultRetention))...)
	if err := queues.Index(ctx, d.rdb, payload.PhoneNumberID, q, payload.TaskID()); err != nil {
		return queues.Explain(err)
	}
	for range putTries {
		_, err := asynq.NewClientFromRedisClient(d.rdb).EnqueueContext(ctx, task)
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			return queues.Explain(err)
		}
		info, err := d.inspector.GetTaskInfo(string(q), payload.TaskID())
		switch {
		case queues.IsGone(err):
			continue
		case err != nil:
			return err
		case info.State != asynq.TaskStateCompleted && info.State != asynq.TaskStateArchived:
			return nil
		}
		if err := d.inspector.DeleteTask(string(q), payload.TaskID()); err != nil && !queues.IsGone(err) && !queues.HasMoved(err) {
			return err
		}
	}
	return ErrBusy
}

// RedriveTask is the handler for queues.DeadLetter: "run" in the web UI makes a letter pending,
// and the worker that consumes the queue redrives it. asynq deletes the letter when it returns
// nil. After an error, as over a user who is protected, the letter stays; use [RedriveDelay] for the time until the next try.
func RedriveTask(ctx context.Context, d *Queue, p *tasks.Producer, t *asynq.Task) error {
	e, err := decodeDeadLetter(t.Type(), t.Payload())
	if err != nil {
		err = adoptStray(ctx, d, t, err)
	} else {
		err = redriveOne(ctx, d, p, e)
	}
	if err != nil {
		return fmt.Errorf("tasks: redrive: %w", err)
	}
	return nil
}

// adoptStray takes in a task of another kind in the queue: it goes where it belongs if it can be
// read, and else becomes a letter.
func adoptStray(ctx context.Context, d *Queue, t *asynq.Task, reason error) error {
	id := ""
	if w := t.ResultWriter(); w != nil {
		id = w.TaskID()
	}
	e := NewMalformed(t.Type(), queues.DeadLetter, id, t.Payload(), reason)
	payload, unreadable, err := readable(ctx, d, e.Malformed)
	if err != nil {
		return err
	}
	if unreadable == "" {
		return enqueueOriginal(ctx, d, e.Malformed, payload)
	}
	return d.put(ctx, []Letter{e})
}

func redriveOne(ctx context.Context, d *Queue, p *tasks.Producer, e Letter) error {
	if m := e.Malformed; m != nil {
		payload, reason, err := readable(ctx, d, m)
		if err != nil {
			return err
		}
		if reason != "" {
			return fmt.Errorf("%w: %s", ErrRefused, reason)
		}
		return enqueueOriginal(ctx, d, m, payload)
	}
	v, err := p.RepeatVersion(ctx, e.PhoneNumberID, again([]Letter{e}))
	if err != nil {
		return err
	}
	live, _, err := sift(ctx, d, e.PhoneNumberID, []Letter{e})
	if err != nil || len(live) == 0 {
		return err
	}
	if err := checkProtected(ctx, d, e); err != nil {
		return err
	}
	_, err = enqueueAgain(ctx, p, group{e.PhoneNumberID, e.Operation}, live, v, RedriveOptions{Requester: "web page"})
	return err
}

// redriveRetry is the time until a letter is tried again whose redriving failed, because of
// Redis most likely.
const redriveRetry = 5 * time.Second

// RedriveDelay is the RetryDelayFunc of an asynq server that consumes queues.DeadLetter: a letter
// that was refused rests again until 2099, with the reason on it.
func RedriveDelay(_ int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, ErrRefused) || errors.Is(err, ErrProtected) {
		return time.Until(restsUntil)
	}
	return redriveRetry
}
