package app

import (
	"maps"
	"testing"

	"github.com/wablock/wablock/worker"
)

// quiet takes states of lanes, and does nothing with them.
type quiet struct{ worker.Metrics }

func (quiet) LaneState(string, string) {}

func TestRosterShowsLanesThatDoNotRun(t *testing.T) {
	t.Parallel()
	m := &member{Metrics: quiet{}, entry: Entry{Lanes: map[string]string{}}}
	for id, state := range map[string]string{"1": "running", "2": "halted", "3": "outage", "4": "full"} {
		m.LaneState(id, "halted")
		m.LaneState(id, state)
	}
	if want := map[string]string{"2": "halted", "3": "outage", "4": "full"}; !maps.Equal(m.entry.Lanes, want) {
		t.Errorf("%v, want %v", m.entry.Lanes, want)
	}
}
