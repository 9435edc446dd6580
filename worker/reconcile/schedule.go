package reconcile

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says at which times, its slots, something is due. All workers see the same slots:
// they are in UTC unless the expression names a time zone (CRON_TZ=…), and those of "@every"
// count from 1970, not from when a process began.
type Schedule struct {
	cron  cron.Schedule
	every time.Duration // of "@every", in place of cron
}

// ParseSchedule reads a cron expression of five fields, or a descriptor such as "@daily" or
// "@every 6h".
func ParseSchedule(expression string) (Schedule, error) {
	s, err := cron.ParseStandard(expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("reconcile: schedule: %w", err)
	}
	if c, ok := s.(cron.ConstantDelaySchedule); ok {
		return Schedule{every: c.Delay}, nil
	}
	return Schedule{cron: s}, nil
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
