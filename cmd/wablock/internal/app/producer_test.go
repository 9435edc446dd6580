package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestJobsAreKeptAsConfigured holds what is kept of jobs to the settings.
func TestJobsAreKeptAsConfigured(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	cfg := load(t, map[string]string{"WABLOCK_JOB_RETENTION": "2d12h", "WABLOCK_MAX_JOBS": "1000"})
	if got, want := JobLimits(cfg), (ledger.JobLimits{Retention: 60 * time.Hour, Jobs: 1000}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	cfg.MaxJobs = 3
	p, err := NewProducer(cfg, rdb, phoneNumberID, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := p.Block(t.Context(), []string{"+16505551234"}, tasks.WithJobID(fmt.Sprint("job-", i))); err != nil {
			t.Fatal(err)
		}
	}
	var kept []string
	for j, err := range p.Jobs(t.Context(), tasks.JobsFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, j.ID)
	}
	if got := fmt.Sprint(kept); got != "[job-4 job-3 job-2]" {
		t.Errorf("kept are %s", got)
	}
	if got, want := JobLimits(load(t, nil)), (ledger.JobLimits{Retention: ledger.DefaultJobRetention, Jobs: ledger.DefaultJobsKept}); got != want {
		t.Errorf("by default %+v, want %+v", got, want)
	}
}
