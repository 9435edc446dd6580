package lane

import (
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func TestParkedFailures(t *testing.T) {
	t.Parallel()
	users := someUsers(t, 3)
	claimed := make([]ledger.Claimed, len(users))
	for i, u := range users {
		claimed[i] = ledger.Claimed{User: u, Version: ledger.Version(i + 1)}
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dead, others, v := uncalledAmong(claimed, parkedFailures(map[user.ID]time.Time{users[1]: now.Add(-30 * time.Hour)}, now))
	if len(dead) != 1 || dead[0].User != users[1] || len(others) != 2 || others[0].User != users[0] || others[1].User != users[2] {
		t.Fatalf("parked %v, others %v", dead, others)
	}
	s := v.Settlements
	if len(s) != 1 || s[0].User != users[1] || s[0].Version != 2 || s[0].Do != ledger.Kill || s[0].Failure.Code != 131047 || !s[0].Failure.Parked {
		t.Fatalf("%+v", s)
	}
	if d := s[0].Failure.Details; !strings.Contains(d, "no call was made") || !strings.Contains(d, "2026-02-28T06:00:00Z") {
		t.Error(d)
	}
	if effect := new(claimRun).effect(v, s[0]); effect != "" {
		t.Errorf("parking counts as having done %q", effect)
	}
}
