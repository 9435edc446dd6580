package tasks

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/waiting"
)

// expect says of jobs that are not done what they wait for, and until when.
func expect(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, jobs []*JobStatus) error {
	var open []*JobStatus
	var asked []waiting.Job
	for _, j := range jobs {
		if j.Done() || j.State == JobCanceled {
			continue
		}
		open = append(open, j)
		asked = append(asked, waiting.Job{
			Operation: j.Operation, Point: ledger.Point{Queue: j.Queue, Version: j.Version}, Users: j.Pending, Due: j.PlannedAt,
		})
	}
	reasons, err := waiting.Jobs(ctx, rdb, phoneNumberID, asked)
	if err != nil {
		return fmt.Errorf("tasks: %w", err)
	}
	for i, r := range reasons {
		open[i].WaitingFor, open[i].WaitingText, open[i].ExpectedAt = r.For, r.Text, r.ExpectedAt
	}
	return nil
}
