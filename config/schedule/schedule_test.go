package schedule_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/config/schedule"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err) // a test's own time
	}
	return t
}

func TestDue(t *testing.T) {
	t.Parallel()
	const none = "0001-01-01T00:00:00Z"
	for name, c := range map[string]struct{ expression, last, now, want, next string }{
		"not yet":         {"0 3 * * *", "2026-11-22T03:00:00Z", "2026-11-23T02:59:59Z", none, "2026-11-23T03:00:00Z"},
		"now":             {"0 3 * * *", "2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z", "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z"},
		"missed many":     {"0 3 * * *", "2026-10-01T03:00:00Z", "2026-11-23T02:00:00Z", "2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z"},
		"missed for long": {"* * * * *", "2020-01-01T00:00:00Z", "2026-11-23T02:00:30Z", "2026-11-23T02:00:00Z", "2026-11-23T02:01:00Z"},
		"once a year":     {"0 0 1 1 *", "2024-06-01T00:00:00Z", "2026-11-23T02:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"a clock behind":  {"* * * * *", "2026-11-23T02:01:00Z", "2026-11-23T02:00:59Z", none, "2026-11-23T02:01:00Z"},
		"every 90 s":      {"@every 90s", "2026-11-23T00:00:00Z", "2026-11-23T00:01:29Z", none, "2026-11-23T00:01:30Z"},
		"every, missed":   {"@every 1h", "2026-11-20T00:00:00Z", "2026-11-23T00:01:29Z", "2026-11-23T00:00:00Z", "2026-11-23T01:00:00Z"},
		"a time zone":     {"CRON_TZ=Asia/Tokyo 0 3 * * *", "2026-11-22T00:00:00Z", "2026-11-22T18:00:00Z", "2026-11-22T18:00:00Z", "2026-11-23T18:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Parse(c.expression)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Due(at(c.last), at(c.now)); !got.Equal(at(c.want)) {
				t.Errorf("due %v, want %v", got, c.want)
			}
			// Where the process is makes no difference.
			zone := time.FixedZone("", 5*3600)
			if got := s.Next(at(c.now).In(zone)); !got.Equal(at(c.next)) {
				t.Errorf("next %v, want %v", got, c.next)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		"", "every now and then", "CRON_TZ=UTC", "TZ=Europe/Berlin ", "CRON_TZ=Local 0 3 * * *", "CRON_TZ=Europe/Nowhere 0 3 * * *",
		"0 0 30 2 *", "0 0 31 4,6 *", "@every -5m", "@every 0s", "@every 1ms", "@every", "@every 1h now", "CRON_TZ=UTC @every -5m", "60 * * * *",
	} {
		if s, err := schedule.Parse(expression); err == nil {
			t.Errorf("%q: next %v", expression, s.Next(time.Now()))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 3 * * *", "@daily", "@every 6h", "CRON_TZ=Asia/Tokyo 0 3 * * *", "TZ=UTC", "0 0 30 2 *"} {
		f.Add(s)
	}
	now := at("2026-11-23T02:00:00Z")
	f.Fuzz(func(t *testing.T, expression string) {
		s, err := schedule.Parse(expression)
		if err != nil {
			return
		}
		if next := s.Next(now); !next.After(now) {
			t.Errorf("%q: after %v comes %v", expression, now, next)
		}
	})
}

// TestSlotsAcrossClockChanges goes through a year of schedules in zones that put their clocks on
// and back, some at midnight: slots only go on, none is more than its period and an hour or two
// away, and a late look finds the last one.
func TestSlotsAcrossClockChanges(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"} {
		for expression, period := range map[string]time.Duration{
			"0 0 * * *": 24 * time.Hour, "30 2 * * *": 24 * time.Hour, "0 * * * *": time.Hour, "*/20 1-3 * * *": 22 * time.Hour, "@daily": 24 * time.Hour,
		} {
			t.Run(zone+" "+expression, func(t *testing.T) {
				t.Parallel()
				s, err := schedule.Parse("CRON_TZ=" + zone + " " + expression)
				if err != nil {
					t.Fatal(err)
				}
				last := at("2010-12-20T00:00:00Z")
				for end := at("2012-01-10T00:00:00Z"); last.Before(end); {
					next := s.Next(last)
					if gap := next.Sub(last); gap <= 0 || gap > 2*period+3*time.Hour {
						t.Fatalf("after %v comes %v", last, next)
					}
					if due := s.Due(last, next); !due.Equal(next) {
						t.Fatalf("at %v %v is due", next, due)
					}
					if due := s.Due(last, next.Add(-time.Second)); !due.IsZero() {
						t.Fatalf("before %v %v is due", next, due)
					}
					last = next
				}
				if due := s.Due(at("2010-12-20T00:00:00Z"), last); !due.Equal(last) {
					t.Errorf("after a year without a look %v is due, not %v", due, last)
				}
			})
		}
	}
}
