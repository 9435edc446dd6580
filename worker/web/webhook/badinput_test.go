package webhook_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/webhook"
)

// refuse blocks users and lets that fail for good with 131047.
func refuse(t *testing.T, f *taskfixture.Fixture, users []user.ID) {
	t.Helper()
	texts := make([]string, len(users))
	for i, u := range users {
		texts[i] = u.Reveal()
	}
	_ = taskfixture.Must(f.Producer.Block(t.Context(), texts))(t)
	for done := 0; done < len(users); {
		id := fmt.Sprint("claim-", done)
		c := taskfixture.Must(f.Ledger.Claim(t.Context(), ledger.ClaimOptions{ID: id, Max: ledger.MaxBatch, Timeout: time.Minute}))(t)
		settled := make([]ledger.Settlement, len(c.Users))
		for i, u := range c.Users {
			settled[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Kill, Failure: &ledger.Failure{Code: tasks.CodeWindow, Message: "m"}}
		}
		if n := len(taskfixture.Must(f.Ledger.Settle(t.Context(), id, settled))(t)); n == 0 {
			t.Fatalf("%d of %d are refused", done, len(users))
		}
		done += len(c.Users)
	}
}

// TestBadInput posts odd webhooks about users who were refused with 131047, and looks what became of each: asked for
// again, or left, and when the user wrote as far as is known from now on.
func TestBadInput(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := taskfixture.New(t, rdb)
		r := newReceiver(t, func(c *webhook.Config) {
			quiet := slog.New(slog.DiscardHandler)
			c.Consumers = []webhook.Consumer{webhook.Heard(f.Producer, quiet), webhook.Learn(f.Producer, quiet)}
		})
		text := func(from, at string) string { return `{"from":"` + from + `","timestamp":` + at + `,"type":"text"}` }
		messages := func(list ...string) string {
			return envelope("messages", `"messages":[`+strings.Join(list, ",")+`]`)
		}
		type post struct{ body, signature string }
		signed := func(body string) []post { return []post{{body, sign(appSecret, body)}} }
		now := taskfixture.Must(rdb.Time(t.Context()).Result())(t).Unix()
		cases := []struct {
			name  string
			posts func(waID, at string) []post
			kept  bool // the time of the message
			asked bool // for again
		}{
			{"a message", func(u, at string) []post { return signed(messages(text(u, at))) }, true, true},
			{"the same five times", func(u, at string) []post {
				body := messages(text(u, at))
				return []post{signed(body)[0], signed(body)[0], signed(body)[0], signed(body)[0], signed(body)[0]}
			}, true, true},
			{"again after eight days", func(u, _ string) []post { return signed(messages(text(u, fmt.Sprint(now-8*86_400)))) }, false, false},
			{"a negative time", func(u, _ string) []post { return signed(messages(text(u, `"-1795600000"`))) }, false, false},
			{"an empty time", func(u, _ string) []post { return signed(messages(text(u, `""`))) }, false, false},
			{"no time", func(u, _ string) []post { return signed(messages(`{"from":"` + u + `","type":"text"}`)) }, false, false},
			{"the year 9999", func(u, _ string) []post { return signed(messages(text(u, "253402300799"))) }, false, false},
			{"the year 36000", func(u, _ string) []post { return signed(messages(text(u, "1099511627775"))) }, false, false},
			{"in milliseconds", func(u, at string) []post { return signed(messages(text(u, at+"000"))) }, false, false},
			{"ten minutes ahead", func(u, _ string) []post { return signed(messages(text(u, fmt.Sprint(now+600)))) }, false, false},
			{"a minute ahead", func(u, _ string) []post { return signed(messages(text(u, fmt.Sprint(now+60)))) }, true, true},
			{"null beside it", func(u, at string) []post {
				return signed(strings.Replace(messages("null", text(u, at), "null"), `"entry":[`, `"entry":[null,{"changes":[null]},`, 1))
			}, true, true},
			{"a field twice", func(u, at string) []post {
				return signed(messages(`{"from":"1","timestamp":"1","from":"` + u + `","timestamp":"` + at + `","type":"text"}`))
			}, true, true},
			{"the list twice", func(u, at string) []post {
				return signed(envelope("messages", `"messages":[{"from":"1"}],"messages":[`+text(u, at)+`]`))
			}, true, true},
			{"unknown fields", func(u, at string) []post {
				return signed(envelope("messages", `"new":[{}],"messages":[{"new":{"from":"1"},`+text(u, at)[1:]+`]`))
			}, true, true},
			{"another type of content", func(u, at string) []post { return signed(messages(text(u, at))) }, true, true},
			{"4,001 KB", func(u, at string) []post {
				return signed(messages(text(u, at), `{"x":"`+strings.Repeat("x", 4001<<10)+`"}`))
			}, true, true},
			{"no signature", func(u, at string) []post { return []post{{messages(text(u, at)), ""}} }, false, false},
			{"a wrong one", func(u, at string) []post {
				return []post{{messages(text(u, at)), sign("wrong", messages(text(u, at)))}}
			}, false, false},
			{"a short one", func(u, at string) []post {
				return []post{{messages(text(u, at)), sign(appSecret, messages(text(u, at)))[:69]}}
			}, false, false},
			{"truncated, signed", func(u, at string) []post { b := messages(text(u, at)); return signed(b[:len(b)-1]) }, false, false},
			{"to another phone number ID", func(u, at string) []post {
				return signed(strings.ReplaceAll(messages(text(u, at)), phoneNumberID, "1"))
			}, false, false},
			{"a reaction", func(u, at string) []post {
				return signed(messages(strings.Replace(text(u, at), "text", "reaction", 1)))
			}, false, true},
			{"a call", func(u, at string) []post {
				return signed(envelope("calls", `"calls":[{"from":"`+u+`","timestamp":`+at+`,"direction":"USER_INITIATED"}]`))
			}, false, true},
			{"a message to a group", func(u, at string) []post { return signed(messages(text(u, at+`,"group_id":"R"`))) }, false, false},
			{"a chat that was opened", func(u, at string) []post {
				return signed(messages(strings.Replace(text(u, at), "text", "request_welcome", 1)))
			}, false, false},
			{"a status", func(u, at string) []post {
				return signed(envelope("messages", `"statuses":[{"recipient_id":"`+u+`","timestamp":`+at+`,"status":"read"}]`))
			}, false, false},
			{"an echo", func(u, at string) []post {
				return signed(envelope("smb_message_echoes", `"message_echoes":[{"to":"`+u+`","timestamp":`+at+`,"type":"text"}]`))
			}, false, false},
			{"a history", func(u, at string) []post {
				return signed(envelope("history", `"history":[{"threads":[{"id":"`+u+`","context":{"wa_id":"`+u+`"},"messages":[`+text(u, at)+`]}]}]`))
			}, false, false},
		}
		const crowd = 1000
		users := taskfixture.Nums(len(cases) + crowd)
		refuse(t, f, users)
		status := map[string]int{"no signature": 401, "a wrong one": 401, "a short one": 401}
		for i, c := range cases {
			for k, p := range c.posts(users[i].Reveal()[1:], fmt.Sprint(now+1)) {
				headers := []string{}
				if c.name == "another type of content" {
					headers = []string{"Content-Type: application/x-www-form-urlencoded"}
				}
				if w := r.post(t, strings.NewReader(p.body), p.signature, headers...); w.Code != max(200, status[c.name]) {
					t.Errorf("%s, time %d: %d %s", c.name, k+1, w.Code, w.Body)
				}
			}
		}
		updates := make([]string, crowd) // in one body
		for i, u := range users[len(cases):] {
			updates[i] = text(u.Reveal()[1:], fmt.Sprint(now+1))
		}
		for range 2 {
			body := messages(append(updates, "7", "{}")...)
			if w := r.post(t, strings.NewReader(body), sign(appSecret, body)); w.Code != http.StatusOK {
				t.Errorf("1,000 updates: %d %s", w.Code, w.Body)
			}
		}
		var entries []ledger.Entry
		for some := range slices.Chunk(users, ledger.MaxBatch) {
			entries = append(entries, taskfixture.Must(f.Ledger.Entries(t.Context(), some))(t)...)
		}
		last := taskfixture.Must(heard.Last(t.Context(), rdb, phoneNumberID, entries))(t)
		jobs := map[string]int{}
		for i, e := range entries {
			name, kept, asked := "1,000 updates", true, true
			if i < len(cases) {
				name, kept, asked = cases[i].name, cases[i].kept, cases[i].asked
			}
			if (e.State == ledger.Waiting) != asked || last[i].IsZero() == kept {
				t.Errorf("%s: it is %v, heard at %v", name, e.State, last[i])
			}
			jobs[fmt.Sprint(e.Version)]++
		}
		again := 0
		for i := range cases {
			if cases[i].asked {
				again++
			}
		}
		if len(jobs) != 1+again+1 { // the first one, one for each, one for the crowd
			t.Errorf("%d jobs, want %d", len(jobs), again+2)
		}
	})
}

// pipe is a listener that hands out one connection, without a network: sockets stop the clock of a bubble.
type pipe struct {
	conn chan net.Conn
	once sync.Once
	done chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conn:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// TestSlowBody: a body that comes too slowly, and one that is cut off, take nothing and give their place back.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	body := envelope("messages", one("text"))
	for name, tt := range map[string]struct {
		write  func(c net.Conn) // what comes behind the header
		within time.Duration
		status string
	}{
		"a byte a second": {func(c net.Conn) {
			for i := range body {
				if _, err := c.Write([]byte(body[i : i+1])); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}, 10 * time.Second, "400"},
		"nothing":   {func(net.Conn) {}, 10 * time.Second, "400"},
		"in nine s": {func(c net.Conn) { <-time.After(9 * time.Second); _, _ = io.WriteString(c, body) }, 9 * time.Second, "200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t)
				l := &pipe{conn: make(chan net.Conn, 1), done: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				server := &http.Server{Handler: r, ReadHeaderTimeout: time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
				go func() { _ = server.Serve(l) }()
				defer func() { cancel(); _ = server.Close() }()
				client, conn := net.Pipe()
				var writing sync.WaitGroup
				defer func() { _ = client.Close(); writing.Wait() }()
				l.conn <- conn
				start := time.Now()
				_, _ = fmt.Fprintf(client, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-Hub-Signature-256: %s\r\n\r\n", webhook.Path, len(body), sign(appSecret, body))
				writing.Go(func() { tt.write(client) })
				answer, err := bufio.NewReader(client).ReadString('\n')
				if err != nil || !strings.Contains(answer, " "+tt.status+" ") || time.Since(start) != tt.within {
					t.Errorf("%q, %v after %v", answer, err, time.Since(start))
				}
				if want := map[string]int{"200": 1}[tt.status]; len(r.events) != want {
					t.Errorf("%d events", len(r.events))
				}
			})
		})
	}
}
