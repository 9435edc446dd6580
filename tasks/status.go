package tasks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/tasks/waiting"
)

// UserStatus holds the state of one user, and the job that asked for it.
type UserStatus struct {
	ledger.Entry
	// JobID is empty when the job is no longer kept; who asked and why is known all the same.
	JobID string
	ledger.Text
	// RequestedAt is the time at which the request was accepted.
	RequestedAt time.Time
	// Until is the end of a timed block.
	Until time.Time
	// WaitingFor and WaitingText say what a pending user waits for, and ExpectedAt about when its call goes out;
	// zero when that is not known.
	WaitingFor  waiting.Cause
	WaitingText string
	ExpectedAt  time.Time
	// Known has the names of the person that are known, itself among them; the first is the one that calls name.
	Known []user.ID
	// Planned are requests that are put off, and will be carried out unless newer ones come.
	Planned []PlannedRequest
}

// PlannedRequest is a request that is put off.
type PlannedRequest struct {
	Operation Operation `json:"operation"`
	At        time.Time `json:"at"`
	JobID     string    `json:"job_id,omitempty"`
}

// Status returns where one user stands on the producer's phone number ID: a phone number or
// BSUID as people write it.
func (p *Producer) Status(ctx context.Context, input string) (UserStatus, error) {
	id, err := user.Parse(input)
	if err != nil {
		return UserStatus{}, fmt.Errorf("tasks: status: %w", err)
	}
	l, err := p.ledger()
	if err != nil {
		return UserStatus{}, fmt.Errorf("tasks: status: %w", err)
	}
	all, err := Statuses(ctx, p.rdb, l, []user.ID{id})
	if err != nil {
		return UserStatus{}, err
	}
	return all[0], nil
}

// Statuses returns where up to 1,000 users stand, in the order given.
func Statuses(ctx context.Context, rdb redis.UniversalClient, l *ledger.Ledger, users []user.ID) ([]UserStatus, error) {
	entries, err := l.Entries(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("tasks: status: %w", err)
	}
	known, planned, err := plannedUnder(ctx, l, users)
	if err != nil {
		return nil, fmt.Errorf("tasks: status: %w", err)
	}
	jobs, texts, err := jobsBehind(ctx, l, entries, planned)
	if err != nil {
		return nil, fmt.Errorf("tasks: status: %w", err)
	}
	called := slices.Clone(entries) // under the names by which they stand in line
	for i := range called {
		called[i].User = known[i][0]
	}
	reasons, err := waiting.Explain(ctx, rdb, l.PhoneNumberID(), called)
	if err != nil {
		return nil, fmt.Errorf("tasks: status: %w", err)
	}
	all := make([]UserStatus, len(entries))
	for i, e := range entries {
		s := UserStatus{Entry: e, Until: milli(e.Job.Ends), Known: known[i], WaitingFor: reasons[i].For, WaitingText: reasons[i].Text, ExpectedAt: reasons[i].ExpectedAt}
		if e.State != ledger.Unknown {
			s.RequestedAt = e.Version.Time().UTC()
		}
		if j, ok := jobs[e.Version]; ok && e.Job.Counted {
			s.JobID, s.RequestedAt = j.ID, milli(j.At)
		}
		s.Text = texts[e.Job.Text]
		for _, plan := range planned[i] {
			if plan.Version > e.Version { // else it is marked, or superseded
				s.Planned = append(s.Planned, PlannedRequest{plan.Operation, plan.Due.UTC(), jobs[plan.Version].ID})
			}
		}
		all[i] = s
	}
	return all, nil
}

// plannedUnder returns the names of each user's person, and what is planned under any of them.
func plannedUnder(ctx context.Context, l *ledger.Ledger, users []user.ID) ([][]user.ID, [][]ledger.Planned, error) {
	known, err := l.NamesOf(ctx, users)
	if err != nil {
		return nil, nil, err
	}
	var all []user.ID
	var whose []int
	for i, names := range known {
		for _, u := range names {
			all, whose = append(all, u), append(whose, i)
		}
	}
	planned := make([][]ledger.Planned, len(users))
	for from := 0; from < len(all); from += ledger.MaxBatch {
		to := min(from+ledger.MaxBatch, len(all))
		found, err := l.PlannedOf(ctx, all[from:to])
		if err != nil {
			return nil, nil, err
		}
		for j, plans := range found {
			i := whose[from+j]
			planned[i] = append(planned[i], plans...)
		}
	}
	return known, planned, nil
}

// jobsBehind reads the jobs and texts that entries and plans name.
func jobsBehind(ctx context.Context, l *ledger.Ledger, entries []ledger.Entry, planned [][]ledger.Planned) (
	map[ledger.Version]ledger.JobRecord, map[string]ledger.Text, error,
) {
	seen := make(map[ledger.Version]struct{})
	var versions []ledger.Version
	var digests []string
	add := func(v ledger.Version) {
		if _, again := seen[v]; !again {
			seen[v] = struct{}{}
			versions = append(versions, v)
		}
	}
	for i, e := range entries {
		if e.Job.Counted {
			add(e.Version)
			digests = append(digests, e.Job.Text)
		}
		for _, plan := range planned[i] {
			add(plan.Version)
		}
	}
	jobs := make(map[ledger.Version]ledger.JobRecord, len(versions))
	for len(versions) > 0 {
		n := min(len(versions), ledger.MaxBatch)
		some, err := l.JobsOf(ctx, versions[:n])
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(jobs, some)
		versions = versions[n:]
	}
	texts, err := l.Texts(ctx, digests)
	return jobs, texts, err
}
