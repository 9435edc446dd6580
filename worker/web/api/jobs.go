package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/reply"
)

// maxJobs bounds the jobs of one answer.
const maxJobs = 1000

// maxWait bounds the time that a request may wait for the end of a job.
const maxWait = 30 * time.Second

// of returns the producer of a phone number ID, "" for the one that is configured.
func (s *server) of(phoneNumberID string) (*tasks.Producer, error) {
	if err := checkPhoneNumberID(phoneNumberID); err != nil {
		return nil, err
	}
	if phoneNumberID = cmp.Or(phoneNumberID, s.cfg.PhoneNumberID); phoneNumberID == "" {
		return nil, invalid("phone_number_id", "several phone numbers are configured: say which with phone_number_id")
	}
	return s.newProducer(phoneNumberID)
}

// jobOf returns the producer of the phone number ID that a request names.
func (s *server) jobOf(r *http.Request) (*tasks.Producer, error) {
	var id string
	if err := query(r, map[string]*string{"phone_number_id": &id}); err != nil {
		return nil, err
	}
	return s.of(id)
}

func (s *server) jobs(ctx context.Context, r *http.Request, _ body) (answer, error) {
	var id, state, limit string
	if err := query(r, map[string]*string{"phone_number_id": &id, "state": &state, "limit": &limit}); err != nil {
		return answer{}, err
	}
	p, err := s.of(id)
	if err != nil {
		return answer{}, err
	}
	f := tasks.JobsFilter{State: tasks.JobState(state)}
	if state != "" && !slices.Contains([]tasks.JobState{tasks.JobWaiting, tasks.JobPlanned, tasks.JobDone, tasks.JobCanceled}, f.State) {
		return answer{}, invalid("state", "state is waiting, planned, done or canceled")
	}
	if limit != "" {
		if f.Limit, err = strconv.Atoi(limit); err != nil || f.Limit < 1 || f.Limit > maxJobs {
			return answer{}, invalid("limit", "limit is from 1 to 1000")
		}
	}
	list := []tasks.JobStatus{}
	for j, err := range p.Jobs(ctx, f) {
		if err != nil {
			return answer{}, err
		}
		list = append(list, j)
	}
	return answer{status: http.StatusOK, body: map[string]any{"jobs": list}}, nil
}

// preferred matches the preference of a client to wait for so many seconds (RFC 7240).
var preferred = regexp.MustCompile(`(?i)(?:^|[,;\s])wait\s*=\s*"?(\d{1,4})"?`)

func (s *server) job(ctx context.Context, r *http.Request, _ body) (answer, error) {
	p, err := s.jobOf(r)
	if err != nil {
		return answer{}, err
	}
	if tasks.CheckJobID(r.PathValue("id")) != nil {
		return answer{}, jobProblem(tasks.ErrJobNotFound)
	}
	j, err := p.Job(ctx, r.PathValue("id"))
	a := answer{status: http.StatusOK, body: j}
	if m := preferred.FindStringSubmatch(r.Header.Get("Prefer")); m != nil && err == nil {
		seconds, _ := strconv.Atoi(m[1]) // it is a number
		wait, cancel := context.WithTimeout(ctx, min(time.Duration(seconds)*time.Second, maxWait))
		defer cancel()
		a.header = map[string]string{"Preference-Applied": "wait=" + m[1]}
		last, waitErr := p.Wait(wait, r.PathValue("id"))
		if last.ID != "" {
			a.body = last
		}
		if !errors.Is(waitErr, context.DeadlineExceeded) || ctx.Err() != nil {
			err = waitErr
		}
	}
	return a, jobProblem(err)
}

func (s *server) jobUsers(ctx context.Context, r *http.Request, _ body) (answer, error) {
	p, err := s.jobOf(r)
	if err != nil {
		return answer{}, err
	}
	var csv bytes.Buffer
	if err := reply.WriteReport(&csv, p.JobUsers(ctx, r.PathValue("id")), client.Explain); err != nil {
		return answer{}, jobProblem(err)
	}
	return answer{raw: csv.Bytes(), header: map[string]string{"Content-Type": "text/csv; charset=utf-8"}}, nil
}

func (s *server) cancelJob(ctx context.Context, r *http.Request, b body) (answer, error) {
	p, err := s.jobOf(r)
	var dryRun bool
	if err == nil {
		err = b.object(map[string]field{"dry_run": {&dryRun, "true or false"}})
	}
	if err != nil {
		return answer{}, err
	}
	done, err := p.Cancel(ctx, r.PathValue("id"), dryRun, tasks.WithRequester(callerName(ctx)))
	if err != nil {
		return answer{}, jobProblem(err)
	}
	return answer{status: http.StatusOK, body: done}, nil
}

func (s *server) undoJob(ctx context.Context, r *http.Request, b body) (answer, error) {
	p, err := s.jobOf(r)
	q := tasks.UndoRequest{Requester: callerName(ctx)}
	if err == nil {
		err = b.object(map[string]field{
			"dry_run": {&q.DryRun, "true or false"}, "reason": {&q.Reason, "a string"}, "reference": {&q.Reference, "a string"},
		})
	}
	if err != nil {
		return answer{}, err
	}
	if (ledger.Text{Reason: q.Reason, Reference: q.Reference}).Check() != nil {
		return answer{}, invalid("reason", "reason has at most 500 characters and reference 200, on one line, without control characters")
	}
	done, err := p.Undo(ctx, r.PathValue("id"), q)
	if err != nil {
		return answer{}, jobProblem(err)
	}
	return answer{status: http.StatusOK, body: done}, nil
}

// jobProblem answers what can be wrong with a job, nil for nothing.
func jobProblem(err error) error {
	switch {
	case errors.Is(err, tasks.ErrJobLost):
		return newProblem(http.StatusNotFound, "job-lost", "the record of the job is lost, by a failover, or no longer kept; its tasks are there, and its users are carried out: POST /v1/status says where each stands")
	case errors.Is(err, tasks.ErrJobNotFound):
		return newProblem(http.StatusNotFound, "job-not-found", "no job of this ID is known for the phone number ID: it never was, or is no longer kept")
	case errors.Is(err, tasks.ErrListGone):
		return newProblem(http.StatusGone, "list-gone", "the list of the job's users is no longer kept, its counts are")
	case errors.Is(err, tasks.ErrJobEnded):
		return newProblem(http.StatusConflict, "job-ended", "the job is done: nothing of it is left to cancel; undo asks for the opposite of what it did")
	case errors.Is(err, tasks.ErrJobCanceled):
		return newProblem(http.StatusConflict, "job-canceled", "the job was canceled before; undo asks for the opposite of what it did")
	case errors.Is(err, tasks.ErrUndo):
		return newProblem(http.StatusConflict, "undo-of-undo", "the job undoes another one, and is not undone itself: ask for what that one asked for, in a new job")
	}
	return err
}
