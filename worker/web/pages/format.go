package pages

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/wablock/wablock/worker/web/overview"
)

// codeMarks sets what stands between backquotes as code.
func codeMarks(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // each part is escaped
}

// percent writes a share from 0 to 1.
func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return "< 0.1 %"
	}
	return fmt.Sprintf("%.3g %%", share*100)
}

// ago writes how long before now a time was, "–" for never.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if t.After(now) {
		return "in " + overview.Span(t.Sub(now))
	}
	return overview.Span(now.Sub(t)) + " ago"
}

// left writes how long it is until a time, "–" for never and "now" for one that has passed.
func left(now, t time.Time) string {
	switch {
	case t.IsZero():
		return "–"
	case !t.After(now):
		return "now"
	}
	return "~" + overview.Span(t.Sub(now))
}

// stateWord writes the state of a phone number ID for people.
func stateWord(s overview.State) string {
	return strings.ReplaceAll(string(s), "_", " ")
}
