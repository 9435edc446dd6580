package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/web"
	"github.com/wablock/wablock/worker/web/browsertest"
)

const businessNumber = "106540352242922"

// TestPagesInABrowser looks at what operators see: pictures of the queues, of masked tasks and of
// the dead-letter queue, none of which shows a number in full or asks for anything elsewhere.
func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1.2.3")
	f := setup(t, withToken, func(c *web.Config) { c.Gatherer = m.Registry() })
	b := browsertest.Open(t, map[string]any{"Authorization": strings.TrimPrefix(basic(token), "Authorization: ")})
	numbers := busy(t, f)
	addr, _ := serve(t, f.handler)
	site := "http://" + addr

	for _, page := range []struct {
		path, picture string
		texts         []string
	}{
		{"/", "index.png", []string{"wablock", "Ready", "Dead letters"}},
		{"/monitor/", "monitor-queues.png", []string{"interactive", "bulk", "dead-letter", "foreign"}},
		{"/monitor/queues/bulk?status=pending", "monitor-tasks.png", []string{queues.TypeBlock, "+165…00"}},
		{"/monitor/queues/bulk?status=completed", "monitor-completed.png", []string{"dead_lettered"}},
		{"/monitor/queues/interactive?status=retry", "monitor-retry.png", []string{queues.TypeUnblock, "deferred"}},
		{"/monitor/queues/dead-letter?status=scheduled", "monitor-dead-letter.png", []string{queues.TypeDeadLetter, "Re-engagement"}},
		{"/monitor/queues/foreign?status=pending", "monitor-foreign.png", []string{"email:send"}},
		{"/monitor/servers", "monitor-servers.png", []string{"Servers"}},
	} {
		html, text := b.Visit(site+page.path, page.picture, page.texts...)
		for _, n := range numbers {
			if strings.Contains(digitsOf(html), strings.TrimPrefix(n.Reveal(), "+")) {
				t.Errorf("%s shows %v in full", page.path, n)
			}
		}
		for _, bad := range []string{"undefined", "NaN", "[object Object]", "Error\n"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s shows %q", page.path, bad)
			}
		}
	}
	b.Quiet(site)
	buttons(t, f, b, site)
	b.Quiet(site, "403")
}

// buttons tries buttons as a person would: actions are offered only on the pages of dead letters,
// one entry at a time; Delete discards one, Run hands one to the worker. A refusal shows its reason.
func buttons(t *testing.T, f *fixture, b *browsertest.Browser, site string) {
	t.Helper()
	const offered = `[...document.querySelectorAll('button, input[type="checkbox"]')].filter(e =>
		e.getClientRects().length && (e.type === "checkbox" ||
			["Delete", "Run", "Archive", "Pause", "Resume", "Cancel", "More Actions", "actions"].includes(e.title || e.ariaLabel))).map(e => e.outerHTML.slice(0, 120))`
	for _, path := range []string{"/monitor/", "/monitor/queues/bulk?status=pending"} {
		b.Visit(site+path, "monitor-queues.png", "bulk")
		if n := browsertest.Run(b, "actions", chromedp.Evaluate[[]string](offered)); len(n) != 0 {
			t.Errorf("%s offers %q", path, n)
		}
	}
	b.Visit(site+"/monitor/queues/dead-letter?status=scheduled", "monitor-dead-letter.png", "Re-engagement")
	browsertest.Run(b, "show a row's buttons", chromedp.Click(chromedp.CSS(`tbody tr:first-of-type td:last-of-type button`)))
	b.Picture("monitor-buttons.png")
	if n := browsertest.Run(b, "actions", chromedp.Evaluate[[]string](offered)); len(n) != 2 {
		t.Errorf("a dead letter offers %q; want Run and Delete", n)
	}
	before, err := f.inspector.GetQueueInfo(queues.DeadLetter)
	if err != nil {
		t.Fatal(err)
	}
	press(b, "Delete")
	await(t, func() bool {
		info, err := f.inspector.GetQueueInfo(queues.DeadLetter)
		return err == nil && info.Scheduled == before.Scheduled-1 && info.Pending == 0
	})
	b.Visit(site+"/monitor/queues/dead-letter?status=scheduled", "monitor-dead-letter.png", "Re-engagement")
	press(b, "Run")
	await(t, func() bool {
		info, err := f.inspector.GetQueueInfo(queues.DeadLetter)
		return err == nil && info.Scheduled == before.Scheduled-2 && info.Pending == 1
	})
	browsertest.Run(b, "pause", chromedp.Evaluate[chromedp.Void](
		`(() => { const r = new XMLHttpRequest(); r.open("POST", "/monitor/api/queues/bulk:pause"); r.send() })()`))
	if reason := browsertest.Run(b, "the reason", chromedp.Text(chromedp.CSS(".wablock-toast"))); !strings.Contains(reason, "wablock limits cap") {
		t.Errorf("the page says %q", reason)
	}
	b.Picture("monitor-refused.png")
}

// press presses a button of the first row. The page is drawn anew every few seconds, and hides the buttons then: they are
// shown and pressed at once, and shown again where that came in between.
func press(b *browsertest.Browser, title string) {
	browsertest.Run(b, title, chromedp.Poll[bool](fmt.Sprintf(`(() => {
		const button = document.querySelector('button[title="%s"]')
		const row = document.querySelector("tbody tr:first-of-type td:last-of-type button")
		;(button || row)?.click()
		return Boolean(button)
	})()`, title)))
}

// busy fills the queues as a working system would, and returns the users in them.
func busy(t *testing.T, f *fixture) []user.ID {
	t.Helper()
	var users []user.ID
	for i := range 1200 {
		id, err := user.FromCanonical(fmt.Sprintf("+1650555%04d", 1000+i))
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, id)
	}
	job := func(id string, op ledger.Operation, users []user.ID, opts ...asynq.Option) {
		for part, parts := 0, (len(users)+999)/1000; part < parts; part++ {
			p := queues.Payload{
				JobID: id, PhoneNumberID: businessNumber, Operation: op, Version: 1795341600123456,
				Users: users[part*1000 : min(len(users), part*1000+1000)], Part: part, Parts: parts, RequestedAt: time.Now(),
			}
			task, err := p.Task()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.client.EnqueueContext(t.Context(), task, opts...); err != nil {
				t.Fatal(err)
			}
		}
	}
	retain := asynq.Retention(time.Hour)
	job("kfjabcdeponmlkjihgfedcba", ledger.Block, users[1000:1003], asynq.Queue("bulk"), retain)
	job("ponmlkjihgfedcbakfjabcde", ledger.Unblock, users[1003:1004], asynq.Queue("interactive"), retain)
	f.process(2, map[string]int{"bulk": 1, "interactive": 1}, func(_ context.Context, task *asynq.Task) error {
		if task.Type() == queues.TypeUnblock {
			return fmt.Errorf("worker: deferred: the API limits the rate; %v waits for its turn", users[1003])
		}
		b, err := queues.Result{Succeeded: 2, DeadLettered: 1, Codes: map[int]int{131047: 1}}.Encode()
		if err != nil {
			return err
		}
		_, err = task.ResultWriter().Write(b)
		return err
	})
	job("import-2026-11-22", ledger.Block, users, asynq.Queue("bulk"))
	f.enqueue("email:send", `{"to":"`+users[0].Reveal()+`","text":"hello"}`, asynq.Queue("foreign"), asynq.TaskID(users[1].Reveal()))
	f.enqueue("email:send", "\x00\x01\x02", asynq.Queue("foreign"))

	now := time.Now()
	var dead []deadletter.Letter
	for i, u := range users[1004:1010] {
		d := deadletter.Letter{
			PhoneNumberID: businessNumber, User: u, Operation: ledger.Block, Version: 1795341600123456, Code: 131047,
			Message: "Re-engagement message", Details: "The user has not written to this number in the last 24 hours.",
			Attempts: 1, FirstFailedAt: now.Add(-time.Duration(i) * time.Minute), LastFailedAt: now,
		}
		dead = append(dead, d)
	}
	dead = append(dead, deadletter.NewMalformed("email:send", "bulk", "x", []byte(users[1010].Reveal()), queues.ErrMalformed))
	if err := deadletter.New(f.rdb).Put(t.Context(), dead...); err != nil {
		t.Fatal(err)
	}
	return users
}
