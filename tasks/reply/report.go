package reply

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks"
)

// Explainer says in plain words what a code of the API means, and whether to redrive may help.
type Explainer func(code int) (text string, redrive bool)

// reportHeader names the columns of a job's report. Columns may be added behind.
func reportHeader() []string {
	return []string{"input", "user", "state", "code", "reason", "redrive_may_help", "settled_at", "line"}
}

// WriteReport writes a job's report as CSV, a row for each user and each rejected input. Spreadsheets neither
// run a cell as a formula nor round a number: what could be read as one begins with an apostrophe.
func WriteReport(w io.Writer, users iter.Seq2[tasks.JobUser, error], explain Explainer) error {
	out := csv.NewWriter(w)
	if err := out.Write(reportHeader()); err != nil {
		return err
	}
	for u, err := range users {
		if err != nil {
			out.Flush()
			return err
		}
		if err := out.Write(reportRow(u, explain)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func reportRow(u tasks.JobUser, explain Explainer) []string {
	row := make([]string, len(reportHeader()))
	row[0], row[2] = cell(u.Input), string(u.State)
	if u.Line > 0 {
		row[7] = strconv.Itoa(u.Line)
	}
	reason := u.Reason
	if !u.User.IsZero() {
		row[1] = cell(u.User.Reveal())
	}
	switch u.State {
	case tasks.UserDeadLettered:
		text, redrive := explain(u.Code)
		row[3], row[5] = strconv.Itoa(u.Code), yesNo(redrive)
		reason = strings.Trim(fmt.Sprintf("%s. %s", reason, text), ". ") + "."
	case tasks.UserSuperseded:
		reason = "A newer request names this user, and decides."
	case tasks.UserCanceled:
		reason = "The job was canceled before this request went out."
	default:
	}
	row[4] = cell(reason)
	if !u.SettledAt.IsZero() {
		row[6] = u.SettledAt.Format(time.RFC3339)
	}
	return row
}

// cell returns s such that a spreadsheet takes it for text: no formula, and no number that it would round.
func cell(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	trimmed := strings.TrimLeft(s, " \u00a0\ufeff")
	if trimmed != "" && (strings.ContainsRune("=+-@", rune(trimmed[0])) || digitsAlone(trimmed)) {
		return "'" + s
	}
	return s
}

// roundedFrom is the length from which spreadsheets show a number in another form.
const roundedFrom = 11

func digitsAlone(s string) bool {
	return len(s) > roundedFrom && strings.Trim(s, "0123456789 .,-()") == "" || len(s) > 1 && s[0] == '0' && strings.Trim(s, "0123456789") == ""
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
