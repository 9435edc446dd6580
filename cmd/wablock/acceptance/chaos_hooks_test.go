package acceptance

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/acceptance/faultproxy"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/webhook"
)

// Writers are persons of their own in a chaos run, whose blocks are refused until they write, and who may change their number.
// Webhooks tell of both, to a receiver whose connections to Redis are cut and robbed of replies.
const (
	mostWriters      = 900    // one a second of the run, and at least 24
	chaosFirstWriter = 90_000 // the numbers of persons; those that they change to are writersApart further
	writersApart     = 1_000
	writersPhone     = phoneNumberID
	writersSettle    = 90 * time.Second // one try a minute and user
)

// writer is one person.
type writer struct {
	n      int
	asked  bool // the block was accepted
	moved  bool
	wrote  int
	number string // by now
}

func (w *writer) first() string { return chaosNumber(chaosFirstWriter + w.n) }
func (w *writer) next() string  { return chaosNumber(chaosFirstWriter + writersApart + w.n) }

// writerUsers are the persons as the simulated API has them: none has written.
func writerUsers() (all []simulator.User) {
	for n := range mostWriters {
		w := writer{n: n}
		all = append(all, simulator.User{User: w.first(), Silent: true}, simulator.User{User: w.next(), Silent: true})
	}
	return all
}

func isWriter(number string) bool {
	return number >= chaosNumber(chaosFirstWriter) && number < chaosNumber(chaosFirstWriter+2*writersApart)
}

// withoutWriters leaves the persons out of calls: what is asked for them is not in the producers' notes.
func withoutWriters(calls []simulator.Call) []simulator.Call {
	calls = slices.Clone(calls)
	for i, c := range calls {
		calls[i].Users = slices.DeleteFunc(slices.Clone(c.Users), func(u simulator.CallUser) bool { return isWriter(u.User) })
	}
	return calls
}

// writers makes their part of a run.
type writers struct {
	c        *chaos
	rng      *rand.Rand
	proxy    *faultproxy.Proxy
	rdb      redis.UniversalClient
	producer *tasks.Producer
	receiver http.Handler
	all      []*writer
	tally    tally

	stop context.CancelFunc
	done sync.WaitGroup
}

func newWriters(c *chaos, seed uint64, seconds int) *writers {
	c.t.Helper()
	h := &writers{c: c, rng: rand.New(rand.NewPCG(seed, 14)), tally: tally{}}
	for n := range min(max(24, seconds), mostWriters) {
		w := &writer{n: n}
		w.number = w.first()
		h.all = append(h.all, w)
	}
	v, _ := c.proxied("webhooks")
	h.proxy = v.proxy
	h.rdb = redis.NewClient(&redis.Options{Addr: v.proxy.Addr(), ReadTimeout: time.Second, DialTimeout: time.Second})
	c.t.Cleanup(func() { _ = h.rdb.Close() })
	var err error
	if h.producer, err = tasks.NewProducer(h.rdb, tasks.ProducerConfig{PhoneNumberID: writersPhone}); err != nil {
		c.t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	h.receiver, err = webhook.New(webhook.Config{
		Secrets: secret.Static(secret.New(appSecret)), VerifyToken: secret.Static(secret.New("hello")),
		Consumers: []webhook.Consumer{webhook.Heard(h.producer, quiet), webhook.Learn(h.producer, quiet)},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// start lets the persons act until end.
func (h *writers) start() {
	ctx, stop := context.WithCancel(h.c.t.Context())
	h.stop = stop
	h.done.Go(func() {
		tick := time.NewTicker(60 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				h.act(ctx)
			}
		}
	})
}

// act lets one person do something.
func (h *writers) act(ctx context.Context) {
	w := h.all[h.rng.IntN(len(h.all))]
	what, fault := h.rng.IntN(12), h.rng.IntN(20)
	switch fault {
	case 0:
		h.proxy.Cut()
	case 1:
		h.proxy.LoseReplies(1)
	}
	switch {
	case !w.asked:
		h.ask(ctx, w)
	case what < 5:
		h.write(ctx, w)
	case what == 5 && !w.moved:
		h.move(ctx, w)
	}
}

// ask asks for the block of a person, until it is accepted.
func (h *writers) ask(ctx context.Context, w *writer) {
	for !w.asked && ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		_, err := h.producer.Block(short, []string{w.number}, tasks.WithJobID(fmt.Sprintf("writer %d, moved %t", w.n, w.moved)))
		cancel()
		w.asked = err == nil
		if err != nil {
			h.c.pause(200 * time.Millisecond)
		}
	}
}

// write lets a person write, which a blocked one can't, and has it told.
func (h *writers) write(ctx context.Context, w *writer) {
	if !h.control("/user-wrote", map[string]string{"phone_number_id": writersPhone, "user": w.number}) {
		return
	}
	w.wrote++
	h.tally["messages"]++
	h.tell(ctx, fmt.Sprintf(`{"from":%q,"id":"wamid.C","timestamp":"%d","type":"text"}`, w.number[1:], time.Now().Unix()))
}

// move gives a person another number, and has it told.
func (h *writers) move(ctx context.Context, w *writer) {
	if !h.control("/user-changed", map[string]string{"phone_number_id": writersPhone, "user": w.number, "new_user": w.next()}) {
		return
	}
	w.moved, w.number = true, w.next()
	h.tally["changes of number"]++
	h.tell(ctx, h.change(w))
}

func (h *writers) change(w *writer) string {
	return fmt.Sprintf(`{"from":%q,"id":"wamid.C","timestamp":"%d","type":"system","system":{"type":"user_changed_number","wa_id":%q}}`,
		w.first()[1:], time.Now().Unix(), w.next()[1:])
}

// control reports whether the simulated API did as it was told.
func (h *writers) control(path string, body any) bool {
	h.c.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.c.t.Error(err)
		return false
	}
	r, err := http.NewRequestWithContext(h.c.t.Context(), http.MethodPost, h.c.url+"/_simulator"+path, strings.NewReader(string(text)))
	if err != nil {
		h.c.t.Error(err)
		return false
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode == http.StatusNoContent
}

// tell sends a webhook until it is taken, and then perhaps once more, as Meta does.
func (h *writers) tell(ctx context.Context, message string) {
	body, signature := signedHook(message)
	for more := h.rng.IntN(2); more >= 0 && ctx.Err() == nil; {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, webhook.Path, strings.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", signature)
		w := httptest.NewRecorder()
		h.receiver.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			more--
			continue
		}
		h.tally["webhooks sent again"]++
		h.c.pause(100 * time.Millisecond)
	}
}

// signedHook returns a webhook with one message, and its signature.
func signedHook(message string) (body, signature string) {
	body = `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",` +
		`"metadata":{"phone_number_id":"` + phoneNumberID + `"},"messages":[` + message + `]}}]}]}`
	mac := hmac.New(sha256.New, []byte(appSecret))
	_, _ = io.WriteString(mac, body)
	return body, "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// end stops what the persons do.
func (h *writers) end() {
	h.stop()
	h.done.Wait()
	h.proxy.Release()
	h.proxy.LoseReplies(0)
}

// check has each person write once more, in the calm, which brings back what a failover has lost and what came while
// Redis's clock was wrong; then each is blocked under the number that they have by now.
func (h *writers) check() {
	h.c.t.Helper()
	ctx := h.c.t.Context()
	unblocked := func() []*writer {
		list := h.c.snapshot(writersPhone)
		return slices.DeleteFunc(slices.Clone(h.all), func(w *writer) bool { return slices.Contains(list, w.number[1:]) })
	}
	inRun := len(h.all) - len(unblocked())
	for _, w := range h.all {
		if e := h.entry(w.first()); e.State == ledger.Unknown { // not asked for, or lost with Redis's last second
			w.asked = false
		}
		h.ask(ctx, w)
		if w.moved {
			h.tell(ctx, h.change(w))
		}
		h.write(ctx, w)
	}
	late := map[*writer]bool{} // refused by a clock that was ahead: messages until then do not count
	for _, w := range unblocked() {
		late[w] = h.entry(w.number).SettledAt.After(time.Now().Add(time.Minute))
	}
	open := func() []*writer {
		return slices.DeleteFunc(unblocked(), func(w *writer) bool { return late[w] })
	}
	deadline := time.Now().Add(writersSettle)
	for time.Now().Before(deadline) && len(open()) > 0 {
		h.c.pause(200 * time.Millisecond)
	}
	for _, w := range open() {
		e := h.entry(w.number)
		h.c.t.Errorf("%s is not blocked: asked for %v, moved %v, wrote %d times; now %+v, before %+v", w.number, w.asked, w.moved, w.wrote, e, h.entry(w.first()))
	}
	if len(h.c.stops)+len(h.c.losses) == 0 {
		for _, o := range simulator.Overlaps(h.c.journal()) {
			if isWriter(o.User) {
				h.c.t.Errorf("%s was in two calls at once: %+v", o.User, o)
			}
		}
	}
	h.c.t.Logf("%d persons who write, %d blocked before the calm, %d open at the end; %s", len(h.all), inRun, len(unblocked()), h.tally)
}

func (h *writers) entry(number string) ledger.Entry {
	h.c.t.Helper()
	id, err := user.FromCanonical(number)
	if err != nil {
		h.c.t.Fatal(err)
	}
	entries, err := ledger.New(h.c.rdb, writersPhone).Entries(h.c.t.Context(), []user.ID{id})
	if err != nil {
		h.c.t.Fatal(err)
	}
	return entries[0]
}
