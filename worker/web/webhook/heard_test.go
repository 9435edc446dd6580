package webhook_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/tasktest"
	"github.com/wablock/wablock/worker/web/webhook"
)

// TestFold: webhooks of mixed kinds, shuffled and repeated, leave for each user what a fold over the times of their
// messages gives.
func TestFold(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		const persons = 300
		producer := tasktest.Must(tasks.NewProducer(rdb, tasks.ProducerConfig{}))(t)
		r := newReceiver(t, func(c *webhook.Config) {
			c.Consumers = []webhook.Consumer{webhook.Heard(producer, slog.New(slog.DiscardHandler))}
		})
		now := tasktest.Must(rdb.Time(t.Context()).Result())(t)
		rng := rand.New(rand.NewPCG(1, 2))
		want := map[int]int64{} // by person, Unix seconds
		values := []struct {
			field, value string
			counts       bool
		}{
			{"messages", `"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"text"}]`, true},
			{"messages", `"contacts":[{"wa_id":"%[1]s","user_id":"US.1"}],"messages":[{"from":"%[1]s","timestamp":%[2]d,"type":"image"}]`, true},
			{"standby", `"standby":{"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"audio"}]}`, true},
			{"messages", `"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"reaction"}]`, false},
			{"messages", `"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"text","group_id":"R"}]`, false},
			{"messages", `"statuses":[{"recipient_id":"%[1]s","timestamp":"%[2]d","status":"read"}]`, false},
			{"calls", `"calls":[{"from":"%[1]s","timestamp":"%[2]d","direction":"USER_INITIATED"}]`, false},
			{"smb_message_echoes", `"message_echoes":[{"to":"%[1]s","timestamp":"%[2]d"}]`, false},
		}
		var bodies []string
		for range redistest.Rounds(t, 700, 3400) {
			n, v := rng.IntN(persons), values[rng.IntN(len(values))]
			at := now.Unix() - rng.Int64N(30*3600) + 60 // some too old, some ahead
			if v.counts && at > now.Add(-heard.Window).Unix()+120 {
				want[n] = max(want[n], at)
			} else if v.counts {
				at -= 600 // well before the window, however long the test takes
			}
			body := envelope(v.field, fmt.Sprintf(v.value, tasktest.Num(n).Reveal()[1:], at))
			for range 1 + rng.IntN(5) {
				bodies = append(bodies, body)
			}
		}
		rng.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
		for _, body := range bodies {
			if w := r.post(t, strings.NewReader(body), sign(appSecret, body)); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		entries := make([]ledger.Entry, persons)
		for n := range entries {
			entries[n].User = tasktest.Num(n)
		}
		last := tasktest.Must(heard.Last(t.Context(), rdb, phoneNumberID, entries))(t)
		wrong := 0
		for n, at := range last {
			if at.IsZero() && want[n] != 0 || !at.IsZero() && at.Unix() != want[n] {
				wrong++
			}
		}
		if wrong > 0 {
			t.Errorf("%d of %d persons are not as the fold has them, after %d webhooks", wrong, persons, len(bodies))
		}
		if n := rdb.ZCard(t.Context(), "wablock:{"+phoneNumberID+"}:heard").Val(); n != int64(len(want))+1 { // one name more, US.1
			t.Errorf("%d are kept, want %d", n, len(want)+1)
		}
	})
}
