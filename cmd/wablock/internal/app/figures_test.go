package app

import (
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/metrics"
)

// TestFiguresComeFromLanes: what lanes tell the metrics becomes figures; users that wait again count nowhere.
func TestFiguresComeFromLanes(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := figured{metrics.New(""), figures.NewRecorder(rdb)}
	f.Call("1", "block", "answered", 10, time.Second, "")
	f.Call("1", "block", "rate_limit", 10, time.Second, "")
	f.RateLimitHit("1", "phone")
	for state, n := range map[string]int{"succeeded": 7, "dead": 2, "waiting": 1, "superseded": 3} {
		f.Settled("1", "block", state, 0, n)
	}
	if err := f.figures.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := figures.Read(t.Context(), rdb, 2*time.Minute, "1")
	if want := (figures.Counts{Succeeded: 7, DeadLettered: 2, Calls: 2, Refusals: 1}); err != nil || s[0].Sum() != want {
		t.Errorf("%+v, %v; want %+v", s[0].Sum(), err, want)
	}
}
