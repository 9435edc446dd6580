package tasks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/waiting"
)

// JobState sums a job up.
type JobState string

// The states of a job. A canceled one may have users in flight still.
const (
	JobPlanned  JobState = "planned"
	JobWaiting  JobState = "waiting"
	JobDone     JobState = "done"
	JobCanceled JobState = "canceled"
)

// JobStatus holds what was asked for with a job, and what came of it. Its JSON is that of `wablock job --json`.
type JobStatus struct {
	ID            string    `json:"job_id"`
	Operation     Operation `json:"operation"`
	PhoneNumberID string    `json:"phone_number_id"`
	State         JobState  `json:"state"`
	RequestedBy   string    `json:"requested_by,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	Reference     string    `json:"reference,omitempty"`
	RequestedAt   time.Time `json:"requested_at,omitzero"`
	// PlannedAt is the time until which the job is, or was, put off.
	PlannedAt time.Time `json:"planned_at,omitzero"`
	// Until is the end of a timed block.
	Until time.Time `json:"until,omitzero"`
	// SettledAt is the time at which the last user ended, once all have.
	SettledAt time.Time `json:"settled_at,omitzero"`
	// ExpectedAt is about when its last user goes out; zero when that is not known.
	ExpectedAt time.Time `json:"expected_at,omitzero"`
	// WaitingFor and WaitingText say what its users in line wait for.
	WaitingFor  waiting.Cause `json:"waiting_for,omitempty"`
	WaitingText string        `json:"waiting_text,omitempty"`
	Accepted    int           `json:"accepted"`
	Succeeded   int           `json:"succeeded"`
	// DeadLettered failed for good, redriven or discarded since or not.
	DeadLettered int `json:"dead_lettered"`
	// Superseded were asked for again, in a newer request, before they had ended.
	Superseded int `json:"superseded"`
	// Canceled were withdrawn before they went out.
	Canceled int `json:"canceled"`
	Pending  int `json:"pending"`
	// Codes counts the dead-lettered by the API's code; 0 for those without one.
	Codes map[int]int `json:"codes,omitempty"`
	// Rejected counts the inputs that named no user.
	Rejected int            `json:"rejected,omitempty"`
	Tasks    int            `json:"tasks"`
	Queue    Queue          `json:"queue"`
	Version  ledger.Version `json:"version"`
	// UndoOf is the ID of the job that this one undoes.
	UndoOf string `json:"undo_of,omitempty"`
	// Standing says that the block waits where a user has to write first; those are counted in Codes as dead-lettered.
	Standing bool `json:"standing,omitempty"`
}

// Done reports whether nothing of the job is left to do.
func (s JobStatus) Done() bool { return s.Pending == 0 }

// StatusOfJob sums up what is kept of a job.
func StatusOfJob(phoneNumberID string, j ledger.JobRecord, now time.Time) JobStatus {
	s := JobStatus{
		ID: j.ID, Operation: j.Operation, PhoneNumberID: phoneNumberID, RequestedBy: j.By.By, Reason: j.By.Reason, Reference: j.By.Reference,
		RequestedAt: milli(j.At), PlannedAt: milli(j.Due), Until: milli(j.Ends),
		Accepted: j.Accepted, Succeeded: j.Counts.Succeeded, DeadLettered: j.Counts.Dead, Superseded: j.Counts.Superseded,
		Canceled: j.Counts.Canceled, Pending: j.Pending(), Codes: j.Counts.Codes, Rejected: j.Rejected, Tasks: j.Parts, Queue: j.Queue,
		Version: j.Version, UndoOf: j.UndoOf, Standing: j.By.Standing,
	}
	switch {
	case j.Counts.Flagged:
		s.State = JobCanceled
	case s.Pending == 0:
		s.State = JobDone
	case s.PlannedAt.After(now):
		s.State = JobPlanned
	default:
		s.State = JobWaiting
	}
	if s.Pending == 0 && !j.Counts.LastEnded.IsZero() {
		s.SettledAt = j.Counts.LastEnded.UTC()
	}
	return s
}

func milli(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Job returns a job of the producer's phone number ID: the last one of this ID. The error may wrap ErrJobNotFound.
func (p *Producer) Job(ctx context.Context, jobID string) (JobStatus, error) {
	s, err := p.counts(ctx, jobID)
	if err != nil {
		return s, err
	}
	return s, expect(ctx, p.rdb, p.cfg.PhoneNumberID, []*JobStatus{&s})
}

// counts returns a job without what it waits for.
func (p *Producer) counts(ctx context.Context, jobID string) (JobStatus, error) {
	j, err := p.record(ctx, jobID)
	if err != nil {
		return JobStatus{}, fmt.Errorf("tasks: job: %w", err)
	}
	return StatusOfJob(p.cfg.PhoneNumberID, j, time.Now()), nil
}

// record reads what is kept of a job.
func (p *Producer) record(ctx context.Context, jobID string) (ledger.JobRecord, error) {
	l, err := p.ledger()
	if err != nil {
		return ledger.JobRecord{}, err
	}
	if err := CheckJobID(jobID); err != nil {
		return ledger.JobRecord{}, err
	}
	j, found, err := l.JobByID(ctx, jobID)
	if err == nil && !found {
		err = ErrJobNotFound
		if part, _, looked := findPart(ctx, p, jobID, 1); looked == nil && part != nil && part.PhoneNumberID == p.cfg.PhoneNumberID {
			err = ErrJobLost
		}
	}
	return j, err
}

// ledger returns the ledger of the producer's phone number ID.
func (p *Producer) ledger() (*ledger.Ledger, error) {
	if err := queues.CheckPhoneNumberID(p.cfg.PhoneNumberID); err != nil {
		return nil, err
	}
	return ledger.New(p.rdb, p.cfg.PhoneNumberID), nil
}

// JobsFilter chooses jobs.
type JobsFilter struct {
	// State, if set, is that of the jobs.
	State JobState
	// Limit bounds them; 0 is DefaultJobs.
	Limit int
	// Skip passes over as many, for the next page.
	Skip int
}

// DefaultJobs bounds the jobs that Jobs returns where no limit is named.
const DefaultJobs = 50

// jobsPage bounds the jobs that are read at a time.
const jobsPage = 200

// Jobs yields jobs of the producer's phone number ID, those accepted last first; planned ones come by when they
// are due. An error is the last thing that comes.
func (p *Producer) Jobs(ctx context.Context, f JobsFilter) iter.Seq2[JobStatus, error] {
	return func(yield func(JobStatus, error) bool) {
		l, err := p.ledger()
		if err != nil {
			yield(JobStatus{}, fmt.Errorf("tasks: jobs: %w", err))
			return
		}
		left, skip := f.Limit, f.Skip
		if left <= 0 {
			left = DefaultJobs
		}
		page := jobsPage
		if f.State == "" {
			page = min(page, left+skip) // none is passed over for its state
		}
		for from := 0; left > 0; from += page {
			versions, err := l.JobVersions(ctx, from, page)
			if err != nil {
				yield(JobStatus{}, fmt.Errorf("tasks: jobs: %w", err))
				return
			}
			jobs, err := l.JobsOf(ctx, versions)
			if err != nil {
				yield(JobStatus{}, fmt.Errorf("tasks: jobs: %w", err))
				return
			}
			now := time.Now()
			var chosen []*JobStatus
			for _, v := range versions {
				j, ok := jobs[v]
				s := StatusOfJob(l.PhoneNumberID(), j, now)
				switch {
				case !ok || f.State != "" && s.State != f.State:
				case skip > 0:
					skip--
				case len(chosen) < left:
					chosen = append(chosen, &s)
				}
			}
			if err := expect(ctx, p.rdb, p.cfg.PhoneNumberID, chosen); err != nil {
				yield(JobStatus{}, err)
				return
			}
			for _, s := range chosen {
				if !yield(*s, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
			if len(versions) < page {
				return
			}
		}
	}
}

// The pace at which Wait looks.
const (
	waitLeast = 100 * time.Millisecond
	waitMost  = 2 * time.Second
)

// Wait returns when all users of a job have ended, or with ctx's error. Redis may be away meanwhile for as long
// as ctx allows.
func (p *Producer) Wait(ctx context.Context, jobID string) (JobStatus, error) {
	var last JobStatus
	for pace := waitLeast; ; pace = min(pace*5/4, waitMost) {
		s, err := p.counts(ctx, jobID)
		switch {
		case errors.Is(err, ErrJobNotFound) || err != nil && ctx.Err() == nil && last.ID == "":
			return last, err
		case err == nil:
			if last = s; s.Done() {
				return s, nil
			}
		}
		t := time.NewTimer(pace)
		select {
		case <-ctx.Done():
			t.Stop()
			return last, fmt.Errorf("tasks: wait: %w", context.Cause(ctx))
		case <-t.C:
		}
	}
}
