// Package schedule holds schedules whose slots all processes agree on.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a sequence of times, its slots. All processes see the same ones: they are in UTC
// unless the expression names a time zone (CRON_TZ=…), and those of "@every" count from 1970,
// not from when a process began. Make one with Parse.
type Schedule struct {
	cron  cron.Schedule
	every time.Duration // of "@every", in place of cron
}

// Parse reads a cron expression of five fields, or a descriptor such as "@daily" or "@every 6h".
// It refuses what has no slots, and what would have others in another process.
func Parse(expression string) (Schedule, error) {
	zone, rest, _ := strings.Cut(strings.TrimSpace(expression), " ")
	if strings.HasPrefix(zone, "TZ=") || strings.HasPrefix(zone, "CRON_TZ=") {
		if strings.TrimSpace(rest) == "" {
			return Schedule{}, errors.New("there is a time zone, but no expression behind it")
		}
		if strings.HasSuffix(zone, "=Local") {
			return Schedule{}, errors.New("the time zone Local is another on each machine")
		}
	} else {
		rest = expression
	}
	parsed, err := cron.ParseStandard(strings.TrimSpace(expression))
	if err != nil {
		return Schedule{}, fmt.Errorf("not a cron expression: %w", err)
	}
	if every, ok := strings.CutPrefix(strings.TrimSpace(rest), "@every "); ok {
		// The parser rounds up to a second what is shorter, negative times too.
		d, err := time.ParseDuration(strings.TrimSpace(every))
		if err != nil || d < time.Second {
			return Schedule{}, errors.New("@every takes a duration of a second or more")
		}
		return Schedule{every: d.Truncate(time.Second)}, nil
	}
	s := Schedule{cron: parsed}
	if s.Next(time.Now()).IsZero() {
		return Schedule{}, errors.New("no such time comes in the next years")
	}
	return s, nil
}

// Next returns the first slot after t; the zero time when there is none for years.
func (s Schedule) Next(t time.Time) time.Time {
	if s.every > 0 {
		seconds := int64(s.every / time.Second)
		return time.Unix((t.Unix()/seconds+1)*seconds, 0).UTC()
	}
	next := s.cron.Next(t.UTC())
	if next.IsZero() {
		return next
	}
	return next.UTC()
}

// Due returns the last slot that is after last and not after now, the zero time when there is
// none: of many missed slots one is made up for.
func (s Schedule) Due(last, now time.Time) time.Time {
	// From now backwards, in steps that grow: a schedule may have a slot a second or a year.
	for back := time.Minute; ; back *= 4 {
		from := now.Add(-back)
		whole := from.Before(last)
		if whole {
			from = last
		}
		var due time.Time
		for slot := s.Next(from); !slot.IsZero() && !slot.After(now); slot = s.Next(slot) {
			due = slot
		}
		if whole || !due.IsZero() {
			return due
		}
	}
}
