package pages

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/worker/web/overview"
)

// sparkline draws the users that ended in each minute, in columns: succeeded, and on top the dead-lettered.
func sparkline(minutes []figures.Minute) template.HTML {
	const height = 24
	most, sum := 0, figures.Counts{}
	for _, m := range minutes {
		most = max(most, m.Settled())
		sum.Succeeded, sum.DeadLettered = sum.Succeeded+m.Succeeded, sum.DeadLettered+m.DeadLettered
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s succeeded and %s dead-lettered in %d minutes, at most %s in one">`,
		max(1, len(minutes)), height, amounts.Thousands(sum.Succeeded), amounts.Thousands(sum.DeadLettered), len(minutes), amounts.Thousands(most))
	for i, m := range minutes {
		good, bad := column(m.Succeeded, most, height), column(m.DeadLettered, most, height)
		bar(&b, "good", i, height-good, good)
		bar(&b, "bad", i, height-good-bad, bad)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers alone
}

// column returns the height of a column: at least a sliver where there is something.
func column(n, most, height int) float64 {
	if n <= 0 || most <= 0 {
		return 0
	}
	return max(1, float64(n)/float64(most)*float64(height))
}

func bar(b *strings.Builder, class string, x int, y, height float64) {
	if height > 0 {
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%.2f" width="0.85" height="%.2f"/>`, class, x, y, height)
	}
}

// limiter draws an hour of the rate limit, in calls a second: the calls that went out and the refused ones as columns,
// the learnt rate as a line, and what the API is believed to allow.
func limiter(p overview.PhoneNumber) template.HTML {
	const width, height, seconds = 600, 120, 60
	most := p.Limit.Anchor
	for _, m := range p.Minutes {
		most = max(most, m.Rate, float64(m.Calls)/seconds, float64(m.Refusals)/seconds)
	}
	if most <= 0 {
		most = 1
	}
	most *= 1.1
	y := func(rate float64) float64 { return height - rate/most*height }
	step := float64(width) / float64(max(1, len(p.Minutes)))
	var b, line strings.Builder
	hour := p.LastHour
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="The last hour: %s calls, %s of them refused; the learnt rate is now %s">`,
		width, height, amounts.Thousands(hour.Calls), amounts.Thousands(hour.Refusals), overview.PerSecond(p.Limit.Rate))
	drawing := false
	for i, m := range p.Minutes {
		x := float64(i) * step
		for _, c := range []struct {
			class string
			rate  float64
		}{{"good", float64(m.Calls) / seconds}, {"bad", float64(m.Refusals) / seconds}} {
			if c.rate > 0 {
				fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, c.class, x, y(c.rate), step*0.85, height-y(c.rate))
			}
		}
		verb := "L"
		if !drawing {
			verb = "M"
		}
		if drawing = m.Rate > 0; drawing {
			fmt.Fprintf(&line, `%s%.1f %.1f`, verb, x+step/2, y(m.Rate))
		}
	}
	if p.Limit.Anchor > 0 {
		fmt.Fprintf(&b, `<path class="anchor" d="M0 %.1fH%d"/>`, y(p.Limit.Anchor), width)
	}
	fmt.Fprintf(&b, `<path class="rate" d="%s"/></svg>`, line.String())
	return template.HTML(b.String()) //nolint:gosec // numbers alone
}

// functions are those of the templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"thousands": amounts.Thousands, "span": overview.Span, "perSecond": overview.PerSecond,
		"sparkline": sparkline, "limiter": limiter, "code": codeMarks, "percent": percent, "ago": ago, "stateWord": stateWord, "left": left,
	}
}
