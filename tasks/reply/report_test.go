package reply_test

import (
	"encoding/csv"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/reply"
	"github.com/wablock/wablock/tasks/user"
)

func users(all ...tasks.JobUser) iter.Seq2[tasks.JobUser, error] {
	return func(yield func(tasks.JobUser, error) bool) {
		for _, u := range all {
			if !yield(u, nil) {
				return
			}
		}
	}
}

func explain(int) (string, bool) { return "Redrive later", true }

// TestReportIsSafeInSpreadsheets: no cell is a formula, or a number that a spreadsheet would round.
func TestReportIsSafeInSpreadsheets(t *testing.T) {
	t.Parallel()
	id, err := user.FromCanonical("+16505551234")
	if err != nil {
		t.Fatal(err)
	}
	var all []tasks.JobUser
	for _, in := range []string{"=HYPERLINK(\"x\")", "+1650", "-1+2", "@SUM(A1)", "\t=1", " =1", "\r=1", "16505551234567", "0049", "\ufeff=1", "a,b\n=c", "plain"} {
		all = append(all, tasks.JobUser{Input: in, State: tasks.UserRejected, Line: 3, Reason: in})
	}
	all = append(all, tasks.JobUser{Input: "1 650 555 1234", User: id, State: tasks.UserDeadLettered, Code: 131047, Reason: "Re-engagement message"})
	var b strings.Builder
	if err := reply.WriteReport(&b, users(all...), explain); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(rows) != len(all)+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		for _, c := range row {
			first := strings.TrimLeft(c, " \u00a0\ufeff")
			if first != "" && strings.ContainsAny(first[:1], "=+-@\t\r") || strings.ContainsAny(c, "\n\t") {
				t.Errorf("cell %q", c)
			}
		}
	}
	want := []string{"'1 650 555 1234", "'+16505551234", "dead_lettered", "131047", "Re-engagement message. Redrive later.", "yes", "", ""}
	if diff := cmp.Diff(want, rows[len(rows)-1]); diff != "" {
		t.Error(diff)
	}
}

func TestReportEndsWithTheError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	err := reply.WriteReport(&strings.Builder{}, func(yield func(tasks.JobUser, error) bool) { yield(tasks.JobUser{}, broken) }, explain)
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}
