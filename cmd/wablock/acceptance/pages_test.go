package acceptance

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/worker/web/browsertest"
)

// The phone number IDs of a bad night, beside the one that works, and the token of the person who looks.
const (
	haltedNumber, fullNumber, pausedNumber = "106540352242933", "106540352242944", "106540352242955"
	pagesToken                             = "ana-token-0123456789"
)

// TestNightInABrowser: a person who opens the pages of a running worker at night finds each of the things that are wrong, in words
// and with what to do, on a desk and on a phone; looks a number up, cancels a job that is half done,
// and redrives a code, which drains.
func TestNightInABrowser(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t, map[string]any{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+pagesToken))})
	s, site := startNight(t)
	job := "/jobs/night-job?phone_number_id=" + phoneNumberID
	for _, width := range []int64{1280, 390} {
		b.Size(width, 1000)
		for name, page := range map[string]struct {
			path  string
			texts []string
		}{
			"overview": {"/", []string{
				"The API refuses all calls: 190", "TOKEN_US", "The blocklist is full (64,000 users)", "redrive --code 139101",
				"Calls are paused", "by ben: wrong file", "wablock resume --phone-number-id " + pausedNumber,
				"300 users failed for good", "re-engagement required", "night-job", "process ",
			}},
			"phone":  {"/phone-numbers/" + haltedNumber, []string{"halted", "The last hour", "Figures"}},
			"dead":   {"/dead-letters?code=131047", []string{"has not written to this business number", "+165…"}},
			"job":    {job, []string{"of 60 users have ended", "ana"}},
			"action": {"/actions/pause?phone_number_id=" + phoneNumberID, []string{"Nothing has been done so far"}},
			"number": {"/numbers", []string{"Find a number"}},
		} {
			html, _ := b.Visit(site+page.path, fmt.Sprintf("%s-%d.png", name, width), page.texts...)
			if strings.Contains(digits(html), "1650555") {
				t.Errorf("%s shows a number in full", page.path)
			}
			if over := browsertest.Run(b, "measure", chromedp.Evaluate[int](`document.documentElement.scrollWidth - window.innerWidth`)); over > 0 {
				t.Errorf("%s is %d pixels wider than a screen of %d", page.path, over, width)
			}
			b.Accessible(page.path)
		}
	}
	night(t, s, b, site, job)
	b.Quiet(site)
}

// night acts as a person would: by the keyboard's focus, forms and buttons.
func night(t *testing.T, s *system, b *browsertest.Browser, site, job string) {
	t.Helper()
	// Focus and scroll outlast a refresh that changes the part.
	b.Visit(site+"/", "overview-before.png", "night-job")
	browsertest.Run(b, "focus", chromedp.Evaluate[chromedp.Void](`(() => { const a = document.querySelector('#dead a.button'); a.focus(); window.scrollTo(0, 200); document.getElementById('dead').dataset.old = 1; document.querySelector('#dead p').firstChild.data = 'old' })()`))
	b.Says("a refresh", "300 users failed for good")
	if ok := browsertest.Run(b, "focus", chromedp.Evaluate[bool](`document.activeElement.textContent === 'Redrive…' && window.scrollY === 200`)); !ok {
		t.Error("a refresh has moved focus or scroll")
	}

	const why = "failed (code 139103): tried again at"
	for try := 0; ; try++ { // now and then the user is in a call again
		b.Visit(site+"/numbers", "number-form.png", "Find a number")
		browsertest.Run(b, "fill", chromedp.Evaluate[chromedp.Void](`(() => { document.getElementById('number').value = '+1 650 555 2059' })()`))
		b.Click("find", "form button")
		b.Says("the story", "asked to block by ana, in the job night-job")
		if try == 10 || strings.Contains(browsertest.Run(b, "the page", chromedp.Text("body")), why) {
			break
		}
	}
	b.Says("why it waits", why)
	if at := browsertest.Run(b, "address", chromedp.Evaluate[string](`location.href`)); strings.Contains(at, "650") {
		t.Errorf("the number is in the address %s", at)
	}

	b.Visit(site+job, "job-before.png", "Cancel…")
	b.Click("cancel", `a[href^="/actions/cancel"]`)
	b.Says("the dry run", "users have not gone out")
	b.Click("confirm", "form button")
	b.Says("done", "users were withdrawn")
	if a := s.want(0, s.run("job", "night-job", "--json")); !strings.Contains(a.out, `"state":"canceled"`) {
		t.Errorf("the job: %s", a.out)
	}

	s.send(http.MethodPut, "/_simulator/scenario", simulator.Scenario{Tokens: []simulator.Token{{Token: accessToken}}}) // which fails no user any more
	b.Visit(site+"/", "overview-after-cancel.png", "131009")
	b.Click("redrive", `a[href="/actions/redrive?code=131009"]`)
	b.Says("the dry run", "To be asked for again: 50 dead letters of code 131009")
	b.Click("confirm", "form button")
	b.Says("done", "Asked for again: 50 dead letters of code 131009")
	b.Visit(site+"/", "overview-after-redrive.png", "250 users failed for good")
	var working standing
	defer func() {
		if t.Failed() {
			t.Logf("the working phone number ID: %+v", working)
		}
	}()
	s.eventually("the redriven users are on the list", time.Minute, func() bool {
		for _, p := range objects[struct {
			PhoneNumbers []standing `json:"phone_numbers"`
		}](t, s.want(0, s.run("top", "--json")).out)[0].PhoneNumbers {
			if p.ID == phoneNumberID {
				working = p
			}
		}
		return working.LastHour.Succeeded >= 70 && working.Dead == 230 && working.Waiting.Interactive+working.Waiting.Bulk+working.Waiting.Later == 0
	})
	b.Visit(site+"/", "overview-drained.png", "250 users failed for good")
}

// standing holds what an overview tells of a phone number ID, as far as the test needs it.
type standing struct {
	ID       string                  `json:"phone_number_id"`
	Dead     int                     `json:"dead_letters"`
	LastHour struct{ Succeeded int } `json:"last_hour"`
	Waiting  struct{ Interactive, Bulk, Later int }
}

// startNight starts a worker, and lets it come to what goes on in a bad night: a phone number ID with a job half done, the rest of
// which is tried again and again, one whose token is refused, one with a full list, a paused one, and 300 dead letters of four codes. It returns the address
// of the pages.
func startNight(t *testing.T) (s *system, site string) {
	t.Helper()
	numbers := func(from, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("+1650555%04d", from+i))
		}
		return all
	}
	failing := map[int][]string{131047: numbers(1000, 150), 131008: numbers(1200, 80), 131009: numbers(1300, 50)}
	sc := simulator.Scenario{Tokens: []simulator.Token{{Token: accessToken}}, Blocking: simulator.Blocking{Capacity: 100}}
	sc.Faults = append(sc.Faults, simulator.Fault{Effect: simulator.EffectFailUser, Code: 139103, Users: numbers(2020, 40)})
	for code, users := range failing {
		sc.Faults = append(sc.Faults, simulator.Fault{Effect: simulator.EffectFailUser, Code: code, Users: users})
	}
	sc.PhoneNumbers = []simulator.PhoneNumber{{ID: fullNumber, Blocked: numbers(3000, 100)}}
	s = newSystem(t, sc)
	s.env = append(s.env, "TOKEN_EU="+accessToken, "TOKEN_US=EAAexpired1234567890", "WABLOCK_MAX_USERS_PER_CALL=20",
		"WABLOCK_HTTP_TOKENS_FILE="+s.file("tokens", "ana admin "+pagesToken+"\n"))
	config := "phone_numbers:\n"
	for id, token := range map[string]string{phoneNumberID: "TOKEN_EU", haltedNumber: "TOKEN_US", fullNumber: "TOKEN_EU", pausedNumber: "TOKEN_EU"} {
		config += fmt.Sprintf("  - {id: %q, access_token_env: %s}\n", id, token)
	}
	s.env = append(s.env, "WABLOCK_CONFIG="+s.file("wablock.yaml", config))
	site = "http://" + s.worker("worker").httpAddr()

	block := func(code int, id, job string, users []string, more ...string) {
		t.Helper()
		args := append([]string{"block", "--phone-number-id", id, "--job-id", job, "--by", "ana", "--reason", "spam", "--file", "-"}, more...)
		s.want(code, s.runWith(strings.Join(users, "\n"), args...))
	}
	s.want(0, s.run("pause", "--phone-number-id", pausedNumber, "--reason", "wrong file", "--by", "ben"))
	block(0, pausedNumber, "paused-job", numbers(3200, 5))
	block(0, haltedNumber, "halted-job", numbers(3200, 5))
	block(3, fullNumber, "full-job", numbers(3200, 20), "--wait")
	block(0, fullNumber, "waiting-job", numbers(3300, 5))
	block(3, phoneNumberID, "bad-job", slices.Concat(slices.Collect(maps.Values(failing))...), "--wait")
	block(0, phoneNumberID, "night-job", numbers(2000, 60))
	s.eventually("a third of the job is done", time.Minute, func() bool {
		return strings.Contains(s.want(0, s.run("job", "night-job", "--json")).out, `"succeeded":20`)
	})
	return s, site
}

// digits leaves the digits of a text.
func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}
