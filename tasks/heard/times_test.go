package heard_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

func TestClosed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	margin := heard.Window + heard.Ahead
	for name, c := range map[string]struct {
		last, latest time.Time
		want         bool
	}{
		"nothing is known of the user":             {latest: ago(time.Minute)},
		"nothing is known at all":                  {},
		"the user wrote just now":                  {last: now, latest: now},
		"the window ends this moment":              {last: ago(heard.Window), latest: now},
		"clocks may differ":                        {last: ago(margin), latest: now},
		"past the margin":                          {last: ago(margin + time.Millisecond), latest: now, want: true},
		"days ago":                                 {last: ago(6 * 24 * time.Hour), latest: ago(time.Hour), want: true},
		"another user wrote a day ago":             {last: ago(30 * time.Hour), latest: ago(heard.Window), want: true},
		"no webhook has come for more than a day":  {last: ago(30 * time.Hour), latest: ago(heard.Window + time.Millisecond)},
		"the user is the last of all who wrote":    {last: ago(30 * time.Hour), latest: ago(30 * time.Hour)},
		"the user's message is ahead":              {last: now.Add(heard.Ahead), latest: now.Add(heard.Ahead)},
		"another user's message is ahead of Redis": {last: ago(30 * time.Hour), latest: now.Add(heard.Ahead), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			times := heard.Times{Now: now, Latest: c.latest, Last: []time.Time{{}, c.last}}
			if got := times.Closed(1); got != c.want {
				t.Errorf("Closed = %v", got)
			}
		})
	}
}

// TestRead: the latest time of all names of a person counts, and times of a week are kept, but none that is told of after its
// day.
func TestRead(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		const id = "106"
		now, err := rdb.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		name := func(s string) user.ID {
			u, err := user.FromCanonical(s)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		number, bsuid, silent, brazil := name("+16505551234"), name("US.7001"), name("+16505551235"), name("+5511987654321")
		kept := func(u user.ID, ago time.Duration) {
			z := redis.Z{Score: float64(now.Add(-ago).UnixMilli()), Member: user.Fold(u.Reveal())}
			if err := rdb.ZAdd(t.Context(), "wablock:{"+id+"}:heard", z).Err(); err != nil {
				t.Fatal(err)
			}
		}
		kept(number, heard.Kept-time.Hour)
		kept(bsuid, 30*time.Hour)
		kept(brazil, heard.Kept+time.Hour)
		outcomes, err := heard.Note(t.Context(), rdb, id, []heard.Event{
			{Names: []user.ID{silent}, At: now.Add(-heard.Window - time.Minute)},
			{Names: []user.ID{name("+16505551236")}, At: now.Add(-time.Hour)},
		})
		if err != nil || !outcomes[0].TooOld || outcomes[1].TooOld {
			t.Fatal(outcomes, err)
		}
		got, err := heard.Read(t.Context(), rdb, id, [][]user.ID{{number}, {number, bsuid}, {silent}, {name("+551187654321")}})
		if err != nil {
			t.Fatal(err)
		}
		if at := got.Latest; at.UnixMilli() != now.Add(-time.Hour).UnixMilli() {
			t.Errorf("the latest at %v", at)
		}
		for i, ago := range []time.Duration{heard.Kept - time.Hour, 30 * time.Hour, 0, 0} {
			if want := now.Add(-ago).UnixMilli(); ago == 0 && !got.Last[i].IsZero() || ago > 0 && got.Last[i].UnixMilli() != want {
				t.Errorf("%d: %v", i, got.Last[i])
			}
		}
	})
}
