package pages_test

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/web"
	"github.com/wablock/wablock/worker/web/access"
	"github.com/wablock/wablock/worker/web/overview"
)

const (
	id     = "106540352242922"
	reader = "reader-token-1234567890"
	writer = "writer-token-1234567890"
	admin  = "admin-token-1234567890"
)

type fixture struct {
	*testing.T
	rdb      redis.UniversalClient
	handler  http.Handler
	producer *tasks.Producer
	released []string
}

func setup(t *testing.T, rdb redis.UniversalClient, readOnly bool, options ...func(*web.Config)) *fixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	lines := "cat read " + reader + "\nwes write " + writer + "\nana admin " + admin + "\n"
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	control, err := access.Open(access.Config{File: path, ReadOnly: readOnly})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, rdb: rdb}
	if f.producer, err = tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: id}); err != nil {
		t.Fatal(err)
	}
	cfg := web.Config{
		Redis: rdb, Access: control, PhoneNumberID: id, Overview: overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: []string{id}}), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Release: func(_ context.Context, id string) error { f.released = append(f.released, id); return nil },
	}
	for _, o := range options {
		o(&cfg)
	}
	if f.handler, err = web.New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// fill asks for a job of users, and lets the first few of them die.
func (f *fixture) fill(jobID string, users, dead, code int) {
	f.Helper()
	var numbers []string
	for i := range users {
		numbers = append(numbers, "+1650555"+strconv.Itoa(1000+100*int(jobID[len(jobID)-1]-'2')+i))
	}
	if _, err := f.producer.Block(f.Context(), numbers, tasks.WithJobID(jobID), tasks.WithRequester("ana"), tasks.WithReason("spam")); err != nil {
		f.Fatal(err)
	}
	l := ledger.New(f.rdb, id)
	c, err := l.Claim(f.Context(), ledger.ClaimOptions{ID: "claim-" + jobID, Max: dead, Timeout: time.Minute})
	if err != nil || len(c.Users) != dead {
		f.Fatal(len(c.Users), err)
	}
	var settlements []ledger.Settlement
	for _, u := range c.Users {
		settlements = append(settlements, ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Kill, Failure: &ledger.Failure{Code: code, Message: "Re-engagement message", Details: "of +16505551000"}})
	}
	if _, err := l.Settle(f.Context(), c.ID, settlements); err != nil {
		f.Fatal(err)
	}
	if _, err := deadletter.New(f.rdb).Sync(f.Context(), id); err != nil {
		f.Fatal(err)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(token, method, path string, form url.Values, headers ...string) answer {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), method, path, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	r.SetBasicAuth("", token)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		f.Fatal(err)
	}
	return answer{w.Code, w.Result().Header, string(b)}
}

func (f *fixture) get(token, path string) answer { return f.do(token, http.MethodGet, path, nil) }

var formField = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// confirm loads the dry run of an action, and sends its form with further fields.
func (f *fixture) confirm(token, path string, more url.Values, headers ...string) (plan, done answer) {
	f.Helper()
	plan = f.get(token, path)
	form := url.Values{}
	for _, m := range formField.FindAllStringSubmatch(plan.body, -1) {
		form.Set(m[1], m[2])
	}
	maps.Copy(form, more)
	action, _, _ := strings.Cut(path, "?")
	return plan, f.do(token, http.MethodPost, action, form, headers...)
}

func (f *fixture) actions() (all []string) {
	f.Helper()
	events, err := audit.Read(f.Context(), f.rdb, time.Time{}, 100)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range events {
		if e.Action != audit.Job {
			all = append(all, string(e.Action)+" by "+e.By)
		}
	}
	return all
}

func (f *fixture) dead() int {
	f.Helper()
	n := 0
	for _, err := range deadletter.New(f.rdb).All(f.Context(), deadletter.Filter{}) {
		if err != nil {
			f.Fatal(err)
		}
		n++
	}
	return n
}

var (
	fullNumber = regexp.MustCompile(`1650\d{7}`)
	inline     = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>|https?://`)
)

// TestPages: every page is there, with headings and headers, holds no number in full, and nothing that the policy forbids.
func TestPages(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb, false)
		f.fill("spam-42", 10, 4, 131047)
		for path, texts := range map[string][]string{
			"/":                                    {"Needs attention", "No worker is running", "wablock worker", "spam-42", "131047", "re-engagement required"},
			"/numbers":                             {"Find a number"},
			"/jobs/spam-42?phone_number_id=" + id:  {"Job spam-42", "4 of 10 users have ended", "by ana", "spam", "re-engagement required"},
			"/dead-letters":                        {"4 users failed for good", "131047"},
			"/dead-letters?code=131047":            {"&#43;165…", "Re-engagement message", "of …"},
			"/actions/redrive?code=131047":         {"To be asked for again: 4 dead letters of code 131047", "Nothing has been done so far"},
			"/actions/pause?phone_number_id=" + id: {"will stop within a second"},
			"/actions/cancel?job_id=spam-42&phone_number_id=" + id: {"Of the job spam-42, 6 users have not gone out"},
		} {
			got := f.get(admin, path)
			if got.status != http.StatusOK {
				t.Errorf("GET %s = %d %.300s", path, got.status, got.body)
			}
			for _, want := range texts {
				if !strings.Contains(got.body, want) {
					t.Errorf("%s does not say %q", path, want)
				}
			}
			if m := fullNumber.FindString(got.body); m != "" {
				t.Errorf("%s shows %s", path, m)
			}
			if m := inline.FindString(got.body); m != "" {
				t.Errorf("%s has %q", path, m)
			}
			if strings.Count(got.body, "<h1") != 1 || !strings.Contains(got.body, `<main id="main">`) || !strings.Contains(got.body, `lang="en"`) {
				t.Errorf("%s lacks a landmark or a heading", path)
			}
			if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %q", path, csp)
			}
		}
		for path, kind := range map[string]string{"/assets/style.css": "text/css", "/assets/refresh.js": "text/javascript"} {
			if got := f.get(reader, path); got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), kind) {
				t.Errorf("%s = %d %s", path, got.status, got.header.Get("Content-Type"))
			}
		}
		for path, want := range map[string]int{
			"/assets/overview.html": 404, "/assets/": 404, "/jobs/none?phone_number_id=" + id: 404, "/jobs/spam-42": 400, "/jobs/spam-42?phone_number_id=x": 400,
			"/phone-numbers/1": 404, "/actions/explode": 404, "/dead-letters?code=x": 422, "/actions/pause?phone_number_id=x": 422, "/actions/redrive": 422,
		} {
			if got := f.get(admin, path); got.status != want || fullNumber.MatchString(got.body) {
				t.Errorf("GET %s = %d, want %d", path, got.status, want)
			}
		}
	})
}

// TestActions: each is done after its dry run, by a caller of its scope, and recorded.
func TestActions(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb, false)
		f.fill("spam-42", 10, 4, 131047)
		f.fill("spam-43", 3, 1, 131009)
		job := "?job_id=spam-42&phone_number_id=" + id
		for _, step := range []struct {
			token, path, says string
			form              url.Values
			check             func() bool
		}{
			{writer, "/actions/redrive?code=131047", "Asked for again: 4 dead letters of code 131047", url.Values{"reason": {"they wrote"}}, func() bool { return f.dead() == 1 }},
			{writer, "/actions/cancel" + job, "Of the job spam-42, 5 users were withdrawn", nil, func() bool {
				j, err := f.producer.Job(t.Context(), "spam-42")
				return err == nil && j.State == tasks.JobCanceled
			}},
			{writer, "/actions/undo" + job, "the opposite was asked for", nil, func() bool { return true }},
			{admin, "/actions/discard?code=131009", "Deleted: 1 dead letter of code 131009", nil, func() bool { return f.dead() == 0 }},
			{admin, "/actions/pause?phone_number_id=" + id, "calls to unblock are paused", url.Values{"reason": {"wrong file"}, "operation": {"unblock"}, "for": {"2h"}}, func() bool {
				all, err := pause.Of(t.Context(), rdb, id)
				return err == nil && len(all) == 1 && all[0].RequestedBy == "ana" && all[0].Reason == "wrong file" && !all[0].Until.IsZero()
			}},
			{admin, "/actions/resume?phone_number_id=" + id, "go on", nil, func() bool { all, err := pause.Of(t.Context(), rdb, id); return err == nil && len(all) == 0 }},
			{admin, "/actions/release?phone_number_id=" + id, "learnt again", nil, func() bool { return len(f.released) == 1 }},
		} {
			plan, done := f.confirm(step.token, step.path, step.form)
			if plan.status != http.StatusOK || done.status != http.StatusOK || !strings.Contains(done.body, step.says) {
				t.Errorf("%s: %d, then %d without %q: %s", step.path, plan.status, done.status, step.says, done.body)
			}
			if !step.check() {
				t.Errorf("%s did nothing", step.path)
			}
		}
		want := "release by ana, resume by ana, pause by ana, discard by ana, undo by wes, cancel by wes, redrive by wes"
		if got := strings.Join(f.actions(), ", "); got != want {
			t.Errorf("recorded %s", got)
		}
	})
}

// TestActionsKeepTheBoundsOfJobs: jobs that actions ask for drop no other jobs than the configured bounds say.
func TestActionsKeepTheBoundsOfJobs(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb, false, func(c *web.Config) { c.Jobs.Jobs = 1 })
	f.fill("spam-42", 10, 4, 131047)
	if _, done := f.confirm(writer, "/actions/redrive?code=131047", nil); done.status != http.StatusOK {
		t.Fatalf("%d: %s", done.status, done.body)
	}
	kept := 0
	for _, err := range f.producer.Jobs(t.Context(), tasks.JobsFilter{}) {
		if kept++; err != nil {
			t.Fatal(err)
		}
	}
	if kept != 1 {
		t.Errorf("%d jobs are kept", kept)
	}
}

// TestActionsAreRefused: without the scope, from another site, without the form's token, or where nothing may change.
func TestActionsAreRefused(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f, closed := setup(t, rdb, false), setup(t, rdb, true)
	f.fill("spam-42", 10, 4, 131047)
	all := map[string]string{
		"/actions/redrive?code=131047": writer, "/actions/discard?code=131047": admin, "/actions/pause?phone_number_id=" + id: admin,
		"/actions/resume?phone_number_id=" + id: admin, "/actions/release?phone_number_id=" + id: admin,
		"/actions/cancel?job_id=spam-42&phone_number_id=" + id: writer, "/actions/undo?job_id=spam-42&phone_number_id=" + id: writer,
	}
	form := url.Values{"reason": {"x"}}
	for path, needs := range all {
		for _, token := range []string{reader, writer} {
			if token == needs {
				continue
			}
			if _, done := f.confirm(token, path, form); done.status != http.StatusForbidden {
				t.Errorf("%s with %s = %d", path, token, done.status)
			}
		}
		if _, done := f.confirm(needs, path, form, "Sec-Fetch-Site: cross-site"); done.status != http.StatusForbidden {
			t.Errorf("%s from another site = %d", path, done.status)
		}
		for name, token := range map[string]string{"no token": "", "a token of another action": tokenOf(f, needs, all, path)} {
			if _, done := f.confirm(needs, path, url.Values{"reason": {"x"}, "token": {token}}); done.status != http.StatusForbidden {
				t.Errorf("%s with %s = %d", path, name, done.status)
			}
		}
		if plan, done := closed.confirm(needs, path, form); plan.status != http.StatusForbidden || done.status != http.StatusForbidden || !strings.Contains(done.body, "WABLOCK_HTTP_READONLY") {
			t.Errorf("%s read only = %d, %d", path, plan.status, done.status)
		}
		if got := f.do(needs, http.MethodPut, path, nil); got.status != http.StatusMethodNotAllowed {
			t.Errorf("PUT %s = %d", path, got.status)
		}
	}
	if page := closed.get(admin, "/"); strings.Contains(page.body, "/actions/") || !strings.Contains(page.body, "read only") {
		t.Error("a page that changes nothing offers actions")
	}
	if page := f.get(reader, "/"); strings.Contains(page.body, "/actions/") {
		t.Error("a caller who may change nothing is offered actions")
	}
	if f.dead() != 4 || len(f.actions()) != 0 || len(f.released) != 0 {
		t.Errorf("%d dead, %q", f.dead(), f.actions())
	}
}

// tokenOf returns the token of another action's form.
func tokenOf(f *fixture, caller string, all map[string]string, not string) string {
	for path, needs := range all {
		if path != not && needs == caller {
			for _, m := range formField.FindAllStringSubmatch(f.get(caller, path).body, -1) {
				if m[1] == "token" {
					return m[2]
				}
			}
		}
	}
	return "none"
}

// TestBadInput: an action with a wrong field does nothing, and says so.
func TestBadInput(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb, false)
	pausing := "/actions/pause?phone_number_id=" + id
	for name, form := range map[string]url.Values{
		"no reason": {"reason": {" "}}, "a reason of two lines": {"reason": {"a\nb"}}, "a long reason": {"reason": {strings.Repeat("x", 501)}},
		"another operation": {"reason": {"x"}, "operation": {"drop"}}, "no time": {"reason": {"x"}, "for": {"soon"}}, "a time below 0": {"reason": {"x"}, "for": {"-5m"}},
	} {
		if _, done := f.confirm(admin, pausing, form); done.status != http.StatusUnprocessableEntity || !strings.Contains(done.body, "Nothing was done") {
			t.Errorf("%s: %d %s", name, done.status, done.body)
		}
	}
	if got := f.do(admin, http.MethodPost, "/numbers", url.Values{"number": {strings.Repeat("1", 100_000)}}); got.status != http.StatusBadRequest {
		t.Errorf("a large form: %d", got.status)
	}
}

// TestLookup: a number comes by POST, is masked, and shown in full only to a named token that asks for it, which is recorded.
func TestLookup(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb, false)
	f.fill("spam-42", 10, 4, 131047)
	find := func(token, number string, more ...string) answer {
		form := url.Values{"number": {number}, "phone_number_id": {id}}
		for _, name := range more {
			form.Set(name, "1")
		}
		return f.do(token, http.MethodPost, "/numbers", form)
	}
	masked := find(reader, "+1 650 555 1000")
	for _, want := range []string{"&#43;165…00", "dead_lettered", "asked to block by ana, in the job spam-42: spam", "re-engagement required", "after the user has written again"} {
		if !strings.Contains(masked.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if masked.status != http.StatusOK || fullNumber.MatchString(masked.body) || len(f.actions()) != 0 {
		t.Errorf("%d, %q", masked.status, f.actions())
	}
	if full := find(reader, "+16505551000", "full"); !strings.Contains(full.body, "&#43;16505551000") || strings.Join(f.actions(), "") != "reveal by cat" {
		t.Errorf("in full: %q", f.actions())
	}
	for number, says := range map[string]string{"+16505559999": "No request for this user is known", "hello": "Not a number", "": "Not a number"} {
		if got := find(reader, number); got.status != http.StatusOK || !strings.Contains(got.body, says) || fullNumber.MatchString(got.body) {
			t.Errorf("%q: %d without %q", number, got.status, says)
		}
	}
	list := url.Values{"code": {"131047"}, "full": {"1"}}
	if full := f.do(reader, http.MethodPost, "/dead-letters", list); !fullNumber.MatchString(full.body) || len(f.actions()) != 2 {
		t.Errorf("dead letters in full: %d, %q", full.status, f.actions())
	}
	// A GET never shows them, whatever it asks for.
	if got := f.get(reader, "/dead-letters?code=131047&full=1"); fullNumber.MatchString(got.body) {
		t.Error("a GET shows numbers in full")
	}
	// The shared token has no name of its own.
	unnamed, err := web.New(web.Config{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	for path, form := range map[string]url.Values{"/dead-letters": list, "/numbers": {"number": {"+16505551000"}, "phone_number_id": {id}, "full": {"1"}}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Host = "localhost"
		w := httptest.NewRecorder()
		unnamed.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || fullNumber.MatchString(w.Body.String()) {
			t.Errorf("%s for a caller without a name = %d", path, w.Code)
		}
	}
}

// TestWithoutRedis: pages say what is the matter, in words, and never hang.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	f := setup(t, rdb, false)
	m.SetError("LOADING of +16505551234")
	for path, want := range map[string]int{"/": 200, "/dead-letters": 200, "/numbers": 200, "/dead-letters?code=1": 503, "/actions/redrive?code=1": 503, "/jobs/x?phone_number_id=" + id: 503} {
		got := f.get(admin, path)
		if got.status != want || fullNumber.MatchString(got.body) {
			t.Errorf("%s = %d, want %d: %s", path, got.status, want, got.body)
		}
	}
	if page := f.get(admin, "/"); !strings.Contains(page.body, "Redis does not answer") {
		t.Error("the overview does not name Redis")
	}
}
