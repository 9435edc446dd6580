package taskstest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Producer is the fake. Make one with New. It is safe for concurrent use.
type Producer struct {
	cfg tasks.ProducerConfig

	mu        sync.Mutex
	jobs      []*job // in the order in which they were accepted
	version   ledger.Version
	last      map[who]*request // of each user, the newest
	protected map[user.ID]protect.Entry
	fault     error
	changed   chan struct{} // closed at the next change
}

// who names a user of a phone number ID.
type who struct {
	phoneNumberID string
	user          user.ID
}

// New returns a fake that has accepted nothing. Of cfg it reads the phone number ID and the retention.
func New(cfg tasks.ProducerConfig) (*Producer, error) {
	if cfg.PhoneNumberID != "" {
		if err := queues.CheckPhoneNumberID(cfg.PhoneNumberID); err != nil {
			return nil, fmt.Errorf("tasks: new producer: %w", err)
		}
	}
	cfg.Retention = cmp.Or(cfg.Retention, tasks.DefaultRetention)
	return &Producer{
		cfg: cfg, last: map[who]*request{}, protected: map[user.ID]protect.Entry{}, changed: make(chan struct{}),
	}, nil
}

// PhoneNumberID is as of [tasks.Producer].
func (p *Producer) PhoneNumberID() string { return p.cfg.PhoneNumberID }

// Block is as of [tasks.Producer].
func (p *Producer) Block(ctx context.Context, inputs []string, opts ...tasks.Option) (tasks.Job, error) {
	return p.ask(ctx, tasks.Block, inputs, opts)
}

// Unblock is as of [tasks.Producer].
func (p *Producer) Unblock(ctx context.Context, inputs []string, opts ...tasks.Option) (tasks.Job, error) {
	return p.ask(ctx, tasks.Unblock, inputs, opts)
}

func (p *Producer) ask(ctx context.Context, op tasks.Operation, inputs []string, opts []tasks.Option) (tasks.Job, error) {
	r, err := tasks.NewRequest(op, inputs, opts...)
	if err == nil {
		r.Users, r.Rejected, err = p.Allowed(ctx, r, r.Users, r.Rejected)
	}
	if err != nil {
		return tasks.Job{Operation: op, Rejected: r.Rejected}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	j, err := p.Enqueue(ctx, r)
	j.Rejected = r.Rejected
	return j, err
}

// Allowed is as of [tasks.Producer].
func (p *Producer) Allowed(_ context.Context, r tasks.Request, users []user.ID, rejected []tasks.Rejection) ([]user.ID, []tasks.Rejection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allowed(r, users, rejected)
}

// allowed is Allowed. It requires mu held.
func (p *Producer) allowed(r tasks.Request, users []user.ID, rejected []tasks.Rejection) ([]user.ID, []tasks.Rejection, error) {
	if r.Operation != tasks.Block {
		return users, rejected, nil
	}
	kept := make([]user.ID, 0, len(users))
	for _, u := range users {
		if e, protected := p.protected[u]; protected {
			rejected = append(rejected, tasks.Rejection{Input: u.Reveal(), Reason: e.Why()})
		} else {
			kept = append(kept, u)
		}
	}
	if len(kept) == 0 && len(users) > 0 {
		return nil, rejected, fmt.Errorf("%w: all that are valid are protected", tasks.ErrNoUsers)
	}
	return kept, rejected, nil
}

// Enqueue is as of [tasks.Producer].
func (p *Producer) Enqueue(ctx context.Context, r tasks.Request) (tasks.Job, error) {
	named, given := r.JobID != "", slices.Clone(r.Users)
	r, err := r.Complete(p.cfg)
	if err != nil {
		return tasks.Job{ID: r.JobID, Operation: r.Operation}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if !named {
		r.JobID, given = rand.Text(), r.Users
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := tasks.Job{
		ID: r.JobID, Operation: r.Operation, PhoneNumberID: r.PhoneNumberID, Queue: r.Queue, Users: once(given),
		Tasks: (len(r.Users) + queues.MaxUsersPerTask - 1) / queues.MaxUsersPerTask,
	}
	failed := func(err error) (tasks.Job, error) {
		total := out.Tasks
		out.Tasks = 0
		return out, &tasks.EnqueueError{JobID: r.JobID, TotalTasks: total, TotalUsers: len(r.Users), Err: err}
	}
	if err := cmp.Or(ctx.Err(), p.fault); err != nil {
		return failed(err)
	}
	if i := slices.IndexFunc(p.jobs, func(j *job) bool { return j.r.JobID == r.JobID }); i >= 0 {
		j := p.jobs[i]
		switch {
		case !j.same(r):
			return failed(tasks.ErrJobConflict)
		case j.canceled:
			out.Version = j.version
			return failed(tasks.ErrJobCanceled)
		}
		out.Version, out.Repeated, out.Accepted = j.version, true, len(r.Users)
		return out, nil
	}
	if err := r.CheckEnd(time.Now()); err != nil {
		out.Tasks = 0
		return out, fmt.Errorf("tasks: enqueue: %w", err)
	}
	out.Version, out.Accepted = p.accept(r).version, len(r.Users)
	return out, nil
}

// once returns users, each once.
func once(users []user.ID) []user.ID {
	seen := make(map[user.ID]bool, len(users))
	return slices.DeleteFunc(users, func(u user.ID) bool { again := seen[u]; seen[u] = true; return again })
}

// accept makes a job of a request. It requires mu held.
func (p *Producer) accept(r tasks.Request) *job {
	now := time.Now()
	p.version = max(p.version+1, ledger.Version(now.UnixMicro()))
	j := &job{r: r, version: p.version, at: now}
	switch {
	case r.Version > 0:
		j.version = r.Version
	case !r.AsOf.IsZero():
		j.version = ledger.Version(r.AsOf.UnixMicro())
	}
	for _, u := range r.Users {
		j.users = append(j.users, &request{job: j, user: u, state: tasks.UserPending})
	}
	p.jobs = append(p.jobs, j)
	if r.Delay == 0 {
		for _, one := range j.users {
			p.mark(one)
		}
	}
	p.change()
	return j
}

// mark lets a request be the newest of its user, unless another is: then it is superseded. It requires mu held.
func (p *Producer) mark(one *request) {
	key := who{one.job.r.PhoneNumberID, one.user}
	switch before := p.last[key]; {
	case before == one:
		return
	case before != nil && before.job.version > one.job.version:
		one.end(tasks.UserSuperseded)
		return
	case before != nil && before.state == tasks.UserPending:
		before.end(tasks.UserSuperseded)
		fallthrough
	default:
		one.before = before
	}
	p.last[key] = one
}

// change wakes those who wait. It requires mu held.
func (p *Producer) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// find returns a job of the fake's phone number ID. It requires mu held.
func (p *Producer) find(jobID string) (*job, error) {
	if err := queues.CheckPhoneNumberID(p.cfg.PhoneNumberID); err != nil {
		return nil, err
	}
	if err := tasks.CheckJobID(jobID); err != nil {
		return nil, err
	}
	for _, j := range p.jobs {
		if j.r.JobID == jobID && j.r.PhoneNumberID == p.cfg.PhoneNumberID {
			return j, nil
		}
	}
	return nil, tasks.ErrJobNotFound
}

// Job is as of [tasks.Producer].
func (p *Producer) Job(_ context.Context, jobID string) (tasks.JobStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	j, err := p.find(jobID)
	if err != nil {
		return tasks.JobStatus{}, fmt.Errorf("tasks: job: %w", err)
	}
	return j.status(), nil
}

// Jobs is as of [tasks.Producer].
func (p *Producer) Jobs(_ context.Context, f tasks.JobsFilter) iter.Seq2[tasks.JobStatus, error] {
	return func(yield func(tasks.JobStatus, error) bool) {
		p.mu.Lock()
		var all []tasks.JobStatus
		for _, j := range slices.Backward(p.jobs) {
			if s := j.status(); j.r.PhoneNumberID == p.cfg.PhoneNumberID && (f.State == "" || s.State == f.State) {
				all = append(all, s)
			}
		}
		p.mu.Unlock()
		all = all[min(f.Skip, len(all)):]
		for _, s := range all[:min(cmp.Or(f.Limit, tasks.DefaultJobs), len(all))] {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// JobUsers is as of [tasks.Producer].
func (p *Producer) JobUsers(_ context.Context, jobID string) iter.Seq2[tasks.JobUser, error] {
	return func(yield func(tasks.JobUser, error) bool) {
		p.mu.Lock()
		j, err := p.find(jobID)
		var all []tasks.JobUser
		if err == nil {
			all = j.report()
		}
		p.mu.Unlock()
		if err != nil {
			yield(tasks.JobUser{}, fmt.Errorf("tasks: users of a job: %w", err))
			return
		}
		for _, u := range all {
			if !yield(u, nil) {
				return
			}
		}
	}
}

// Wait is as of [tasks.Producer].
func (p *Producer) Wait(ctx context.Context, jobID string) (tasks.JobStatus, error) {
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		s, err := p.Job(ctx, jobID)
		if err != nil || s.Done() {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("tasks: wait: %w", context.Cause(ctx))
		case <-changed:
		}
	}
}

// Cancel is as of [tasks.Producer].
func (p *Producer) Cancel(_ context.Context, jobID string, dryRun bool, opts ...tasks.Option) (tasks.Canceled, error) {
	var q tasks.Request
	for _, o := range opts {
		o(&q)
	}
	err := (ledger.Text{By: q.Requester, Reason: q.Reason, Reference: q.Reference}).Check()
	p.mu.Lock()
	defer p.mu.Unlock()
	var j *job
	if err == nil {
		j, err = p.find(jobID)
	}
	if err != nil {
		return tasks.Canceled{JobID: jobID}, fmt.Errorf("tasks: cancel: %w", err)
	}
	c, err := p.cancel(j, dryRun)
	if err != nil {
		return c, fmt.Errorf("tasks: cancel: %w", err)
	}
	return c, nil
}

// cancel withdraws what is pending of a job. It requires mu held.
func (p *Producer) cancel(j *job, dryRun bool) (tasks.Canceled, error) {
	pending := j.count(tasks.UserPending)
	c := tasks.Canceled{JobID: j.r.JobID, Canceled: j.count(tasks.UserCanceled), Settled: len(j.users) - pending - j.count(tasks.UserCanceled)}
	switch {
	case pending == 0 && j.canceled:
		return c, tasks.ErrJobCanceled
	case pending == 0:
		return c, tasks.ErrJobEnded
	}
	if c.Canceled, c.DryRun = pending, dryRun; dryRun {
		return c, nil
	}
	for _, one := range j.users {
		if one.state != tasks.UserPending {
			continue
		}
		one.end(tasks.UserCanceled)
		if key := (who{j.r.PhoneNumberID, one.user}); p.last[key] == one {
			if p.last[key] = one.before; one.before == nil {
				delete(p.last, key)
			}
		}
	}
	j.canceled = true
	p.change()
	return c, nil
}

// Await returns when n jobs have been accepted, or with ctx's error.
func (p *Producer) Await(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		changed, enough := p.changed, len(p.jobs) >= n
		p.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("taskstest: await: %w", context.Cause(ctx))
		case <-changed:
		}
	}
}

// Requests returns what was accepted, in order: each job once, with its defaults and its ID filled in.
func (p *Producer) Requests() []tasks.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]tasks.Request, len(p.jobs))
	for i, j := range p.jobs {
		all[i] = j.r
		all[i].Users = slices.Clone(j.r.Users)
	}
	return all
}

// Succeed ends pending users of a job, all of them if it names none, as blocked or unblocked. Numbers are as people write
// them.
func (p *Producer) Succeed(jobID string, numbers ...string) error {
	return p.settle(jobID, numbers, func(one *request) { one.end(tasks.UserSucceeded) })
}

// DeadLetter ends pending users of a job, all of them if it names none, as failed for good, with an error of the API.
func (p *Producer) DeadLetter(jobID string, code int, message string, numbers ...string) error {
	return p.settle(jobID, numbers, func(one *request) {
		one.code, one.message = code, message
		one.end(tasks.UserDeadLettered)
	})
}

func (p *Producer) settle(jobID string, numbers []string, end func(*request)) error {
	named := map[user.ID]bool{}
	for _, n := range numbers {
		u, err := user.Parse(n)
		if err != nil {
			return fmt.Errorf("taskstest: settle: %w", err)
		}
		named[u] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.jobs, func(j *job) bool { return j.r.JobID == jobID })
	if i < 0 {
		return fmt.Errorf("taskstest: settle: %w", tasks.ErrJobNotFound)
	}
	for _, one := range p.jobs[i].users {
		if len(numbers) > 0 && !named[one.user] {
			continue
		}
		delete(named, one.user)
		if one.state != tasks.UserPending {
			continue
		}
		if p.mark(one); one.state == tasks.UserPending {
			end(one)
		}
	}
	p.change()
	if len(named) > 0 {
		return fmt.Errorf("taskstest: settle: %d of the numbers are not in the job", len(named))
	}
	return nil
}

// Protect lets no user of these numbers be blocked from now on, on any phone number ID.
func (p *Producer) Protect(reason string, numbers ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range numbers {
		u, err := user.Parse(n)
		if err != nil {
			return fmt.Errorf("taskstest: protect: %w", err)
		}
		p.protected[u] = protect.Entry{User: u, Reason: reason, Since: time.Now()}
	}
	return nil
}

// Fail lets requests fail with an error, as when Redis is away, until it is called with nil. Nothing of them is accepted.
func (p *Producer) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = err
}
