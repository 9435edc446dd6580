package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/web/webhook"
)

// TestWebhook: a dead letter 131047 is blocked within two seconds of the webhook that tells that its user has written.
func TestWebhook(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{AppSecret: appSecret, Window: simulator.Window{SilentShare: 1}})
	w := s.worker("one", "WABLOCK_WEBHOOK_VERIFY_TOKEN=hello")
	user := numbers(1)[0]
	if a := s.run("block", "--wait", user); a.code != 3 {
		t.Fatalf("the block: %d %s", a.code, a.err)
	}
	body := fmt.Sprintf(`{"phone_number_id":%q,"user":%q,"webhook":"http://%s/webhooks/whatsapp"}`, phoneNumberID, user, w.httpAddr())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/_simulator/user-wrote", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := new(http.Client).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("the webhook: %d", res.StatusCode)
	}
	s.eventually("the user is blocked", 2*time.Second, func() bool {
		return strings.Contains(string(s.get("/_simulator/snapshot?phone_number_id="+phoneNumberID)), user[1:])
	})
	s.eventually("its dead letter is gone", 5*time.Second, func() bool {
		return !strings.Contains(s.run("dead-letter", "list").out, user[1:])
	})
	if strings.Contains(s.logs.String(), user[1:]) {
		t.Error("a log shows the number")
	}
}

// TestWebhookKilled: workers are killed while they receive webhooks. Each user whose webhook was answered with 200 is blocked
// without being told of again; a webhook without an answer is sent again, as Meta does, to the worker that stays.
func TestWebhookKilled(t *testing.T) {
	t.Parallel()
	rounds := redistest.Rounds(t, 0, 4)
	if rounds == 0 { // the short form is TestHeardAfterADeath
		return
	}
	const each = 60
	s := newSystem(t, simulator.Scenario{AppSecret: appSecret, Window: simulator.Window{SilentShare: 1}})
	stays := s.worker("stays", "WABLOCK_WEBHOOK_VERIFY_TOKEN=hello")
	users := numbers(rounds * each)
	s.want(3, s.runWith(strings.Join(users, "\n"), "block", "--wait", "--file", "-"))
	var again, cut atomic.Int64
	for round := range rounds {
		receiver := s.worker(fmt.Sprint("receiver ", round), "WABLOCK_WEBHOOK_VERIFY_TOKEN=hello")
		first, second := receiver.httpAddr(), stays.httpAddr()
		var taken sync.WaitGroup
		var answers atomic.Int64
		killed := make(chan struct{})
		for _, user := range users[round*each : (round+1)*each] {
			taken.Go(func() {
				s.wrote(user)
				body, signature := signedHook(fmt.Sprintf(`{"from":%q,"id":"wamid.K","timestamp":"%d","type":"text"}`, user[1:], time.Now().Unix()))
				status := s.deliver(first, body, signature)
				if status == http.StatusOK && answers.Add(1) == each/4*int64(1+round%3) {
					close(killed) // the others are on their way, in Redis, or answered
				}
				if status == 0 {
					cut.Add(1)
				}
				for status != http.StatusOK {
					again.Add(1)
					status = s.deliver(second, body, signature)
				}
			})
		}
		<-killed
		receiver.kill()
		taken.Wait()
	}
	missing := users
	deadline := time.Now().Add(3 * time.Minute) // a receiver that dies before its first heartbeat leaves claims that run out by themselves
	for len(missing) > 0 && time.Now().Before(deadline) {
		blocked := string(s.get("/_simulator/snapshot?phone_number_id=" + phoneNumberID))
		missing = slices.DeleteFunc(slices.Clone(users), func(user string) bool { return strings.Contains(blocked, user[1:]) })
		<-time.After(100 * time.Millisecond)
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d who wrote are not blocked, the first: %s", len(missing), len(users), s.run("status", "--json", missing[0]).out)
	}
	if cut.Load() == 0 {
		t.Error("no worker was killed while it received webhooks: nothing was tried")
	}
	t.Logf("%d webhooks, %d without an answer, %d sent again", len(users), cut.Load(), again.Load())
	stays.stop()
}

// wrote has a user write, without a webhook.
func (s *system) wrote(user string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/_simulator/user-wrote", strings.NewReader(fmt.Sprintf(`{"phone_number_id":%q,"user":%q}`, phoneNumberID, user)))
	if err != nil {
		s.t.Error(err)
		return
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Error(err)
		return
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		s.t.Errorf("a user can't write: %d", res.StatusCode)
	}
}

// deliver sends a webhook, and returns the status of the answer, 0 for none.
func (s *system) deliver(addr, body, signature string) int {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+webhook.Path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("X-Hub-Signature-256", signature)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0
	}
	return res.StatusCode
}
