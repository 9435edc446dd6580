package overview

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Span writes a time span for people, of two units at the most: 1m12s, 3h5m, 2d.
func Span(d time.Duration) string {
	switch d = d.Abs(); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return two(int(d.Minutes()), "m", int(d.Seconds())%60, "s")
	case d < 48*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "m")
	}
	return two(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
}

func two(a int, unitA string, b int, unitB string) string {
	if b == 0 {
		return strconv.Itoa(a) + unitA
	}
	return strconv.Itoa(a) + unitA + strconv.Itoa(b) + unitB
}

// PerSecond writes a rate for people: 3.2/s.
func PerSecond(rate float64) string {
	if rate <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g/s", rate)
}

// clock writes a time of day for people, in UTC, with the date unless it is that of now.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05 UTC")
	}
	return t.Format("2006-01-02 15:04 UTC")
}

// sentence joins texts to one, each with a full stop.
func sentence(parts ...string) string {
	var all []string
	for _, p := range parts {
		if p = strings.TrimRight(strings.TrimSpace(p), "."); p != "" {
			all = append(all, p+".")
		}
	}
	return strings.Join(all, " ")
}
