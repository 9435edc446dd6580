package webhook_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/webhook"
)

// folding is a run of webhooks about persons, and what a fold over their times says of each person.
type folding struct {
	*taskfixture.Fixture
	rng      *rand.Rand
	now      int64         // Unix seconds
	wrote    map[int]int64 // by person, Unix seconds
	asked    map[int]bool  // for again, of those who were refused
	followed map[int]bool  // to another number
}

const foldPersons = 120

// refused persons have a dead letter 131047; of movers a change of number may be told, to another of the names.
func refused(n int) bool { return n%3 == 0 }
func mover(n int) bool   { return n%6 == 0 }
func moved(n int) int    { return n + 10*foldPersons }

// hook is a kind of webhook.
type hook struct {
	field, value string
	// keeps says that its time counts, and asks that it brings another try.
	keeps, asks bool
}

func hooks() []hook {
	return []hook{
		{"messages", `"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"text"}]`, true, true},
		{"messages", `"contacts":[{"wa_id":"%[1]s"}],"messages":[{"from":"%[1]s","timestamp":%[2]d,"type":"image"}]`, true, true},
		{"standby", `"standby":{"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"audio"}]}`, true, true},
		{"messages", `"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"reaction"}]`, false, true},
		{"calls", `"calls":[{"from":"%[1]s","timestamp":"%[2]d","direction":"USER_INITIATED"}]`, false, true},
		{"messages", `"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"text","group_id":"R"}]`, false, false},
		{"messages", `"statuses":[{"recipient_id":"%[1]s","timestamp":"%[2]d","status":"read"}]`, false, false},
		{"smb_message_echoes", `"message_echoes":[{"to":"%[1]s","timestamp":"%[2]d"}]`, false, false},
		{"history", `"history":[{"threads":[{"context":{"wa_id":"%[1]s"},"messages":[{"from":"%[1]s","timestamp":"%[2]d"}]}]}]`, false, false},
		{"messages", `"messages":[{"from":"%[1]s","timestamp":"%[2]d","type":"system","system":{"type":"customer_identity_changed"}}]`, false, false},
		{"messages", `"errors":[{"code":130429}]`, false, false},
	}
}

// body returns a webhook, having folded it. Its time is well clear of the bounds, however long the test takes.
func (f *folding) body() string {
	n := f.rng.IntN(foldPersons)
	if mover(n) && f.rng.IntN(8) == 0 {
		f.followed[n] = true
		return envelope("messages", fmt.Sprintf(`"messages":[{"from":"%s","timestamp":"%d","type":"system","system":{"type":"user_changed_number","wa_id":"%s"}}]`,
			taskfixture.Num(n).Reveal()[1:], f.now+30, taskfixture.Num(moved(n)).Reveal()[1:]))
	}
	h := hooks()[f.rng.IntN(len(hooks()))]
	var at int64
	switch f.rng.IntN(8) {
	case 0: // too old
		at = f.now - 24*3600 - 600 - f.rng.Int64N(8*24*3600)
	case 1: // since the refusal
		at = f.now + f.rng.Int64N(60)
	default: // in the window, and before the refusal
		at = f.now - 600 - f.rng.Int64N(24*3600-1800)
	}
	if h.keeps && at > f.now-24*3600 {
		f.wrote[n] = max(f.wrote[n], at)
	}
	if h.asks && at >= f.now && refused(n) {
		f.asked[n] = true
	}
	return envelope(h.field, fmt.Sprintf(h.value, taskfixture.Num(n).Reveal()[1:], at))
}

// TestFold: webhooks of mixed kinds, shuffled and repeated, leave for each user what a fold over the times of their
// messages gives: when the user wrote, whether a refused block is asked for again, and whether it is under another number.
func TestFold(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := &folding{
			Fixture: taskfixture.New(t, rdb), rng: rand.New(rand.NewPCG(1, 2)),
			wrote: map[int]int64{}, asked: map[int]bool{}, followed: map[int]bool{},
		}
		r := newReceiver(t, func(c *webhook.Config) {
			quiet := slog.New(slog.DiscardHandler)
			c.Consumers = []webhook.Consumer{webhook.Heard(f.Producer, quiet), webhook.Learn(f.Producer, quiet)}
		})
		var names []user.ID
		for n := range foldPersons {
			if refused(n) {
				names = append(names, taskfixture.Num(n))
			}
		}
		refuse(t, f.Fixture, names)
		f.now = taskfixture.Must(rdb.Time(t.Context()).Result())(t).Unix() + 1
		var bodies []string
		for range redistest.Rounds(t, 1000, 3400) {
			body := f.body()
			for range 1 + f.rng.IntN(5) {
				bodies = append(bodies, body)
			}
		}
		f.rng.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
		for _, body := range bodies {
			if w := r.post(t, strings.NewReader(body), sign(appSecret, body)); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		f.compare(t, len(bodies))
	})
}

// compare holds Redis to the fold.
func (f *folding) compare(t *testing.T, webhooks int) {
	t.Helper()
	var users []user.ID
	for n := range foldPersons {
		users = append(users, taskfixture.Num(n), taskfixture.Num(moved(n)))
	}
	entries := taskfixture.Must(f.Ledger.Entries(t.Context(), users))(t)
	last := taskfixture.Must(heard.Last(t.Context(), f.Redis, phoneNumberID, entries))(t)
	wrong := map[string]int{}
	for n := range foldPersons {
		at, e, other := last[2*n], entries[2*n], entries[2*n+1]
		if at.IsZero() != (f.wrote[n] == 0) || !at.IsZero() && at.Unix() != f.wrote[n] {
			wrong["heard at another time"]++
		}
		want := ledger.Unknown
		if refused(n) {
			want = ledger.Dead
		}
		if f.asked[n] {
			want = ledger.Waiting
		}
		if e.State != want {
			wrong[fmt.Sprintf("%v instead of %v", e.State, want)]++
		}
		if (other.State == ledger.Waiting && other.Operation == ledger.Block) != f.followed[n] {
			wrong["another state under the new number"]++
		}
	}
	if len(wrong) > 0 {
		t.Errorf("of %d persons, after %d webhooks: %v", foldPersons, webhooks, wrong)
	}
	if n := f.Redis.ZCard(t.Context(), "wablock:{"+phoneNumberID+"}:heard").Val(); n != int64(len(f.wrote)) {
		t.Errorf("%d are kept, want %d", n, len(f.wrote))
	}
	if len(f.asked) < 10 || len(f.followed) < 5 || len(f.wrote) < foldPersons/2 {
		t.Errorf("the webhooks are too much alike: %d wrote, %d are asked for again, %d moved", len(f.wrote), len(f.asked), len(f.followed))
	}
}
