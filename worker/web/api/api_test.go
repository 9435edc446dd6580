package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/reply"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/api"
)

type job struct {
	JobID         string `json:"job_id"`
	Operation     string
	PhoneNumberID string `json:"phone_number_id"`
	Accepted      int
	Rejected      []struct {
		Input, Reason string
		Line          int
	}
	Tasks int
	Queue string
}

func users(list ...string) string {
	b, _ := json.Marshal(map[string]any{"users": list})
	return string(b)
}

func TestBlock(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb)
		got := f.post("/v1/block", users(num(1), num(2), num(1), "no number"), "Authorization: Bearer "+writer)
		j := value[job](t, got)
		if got.status != http.StatusAccepted || j.Accepted != 2 || len(j.Rejected) != 1 || j.Rejected[0].Line != 4 || j.Operation != "block" ||
			j.PhoneNumberID != phoneNumberID || j.Tasks != 1 || j.Queue != "interactive" || got.header.Get("Location") != "/v1/jobs/"+j.JobID {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		if log := f.log.String(); !strings.Contains(log, `"by":"shop","job_id":"`+j.JobID) {
			t.Errorf("the log does not say who asked: %s", log)
		}
		if j := value[job](t, f.post("/v1/unblock", users(nums(51)...))); j.Operation != "unblock" || j.Accepted != 51 || j.Queue != "bulk" {
			t.Errorf("%+v", j)
		}
		if j := value[job](t, f.post("/v1/block", `{"users":["6505550001"],"country":"US","queue":"bulk","delay":"7d","phone_number_id":"42"}`)); j.Accepted != 1 || j.PhoneNumberID != "42" || j.Queue != "bulk" {
			t.Errorf("%+v", j)
		}
		state := value[struct {
			Users []struct{ User, State, Operation string }
		}](t, f.post("/v1/status", users(num(1), num(90)), "Authorization: Bearer "+reader)).Users
		if len(state) != 2 || state[0].User != num(1) || state[0].State != "pending" || state[0].Operation != "unblock" || state[1].State != "unknown" {
			t.Errorf("%+v", state)
		}
	})
}

// TestEverywhere blocks on each of three phone number IDs, on one of which a user is protected.
func TestEverywhere(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb, func(c *api.Config) { c.PhoneNumberID, c.PhoneNumberIDs = "", []string{"41", "42", "43"} })
		if err := protect.Add(t.Context(), rdb, "42", []user.ID{taskfixture.Must(user.Parse(num(1)))(t)}, "own", ""); err != nil {
			t.Fatal(err)
		}
		body := `{"users":["` + num(1) + `","none"],"everywhere":true}`
		got := f.post("/v1/block", body, "Idempotency-Key: k")
		e := value[reply.Everywhere](t, got)
		if got.status != http.StatusAccepted || got.header.Get("Location") != "/v1/jobs/k@41?phone_number_id=41" || e.JobID != "k" || e.Accepted != 1 || e.Tasks != 2 || len(e.Rejected) != 1 || len(e.Jobs) != 3 {
			t.Fatalf("%d %v %s", got.status, got.header, got.body)
		}
		if e.Jobs[1].JobID != "" || len(e.Jobs[1].Rejected) != 1 || e.Jobs[2].JobID != "k@43" || e.Jobs[2].Accepted != 1 {
			t.Errorf("%s", got.body)
		}
		if j := f.look(got.header.Get("Location")); !strings.Contains(j.body, `"standing":true`) || !strings.Contains(j.body, `"requested_by":"ops"`) {
			t.Errorf("the first job: %s", j.body)
		}
		if again := f.post("/v1/block", body, "Idempotency-Key: k"); again.header.Get("Idempotent-Replayed") != "true" || again.body != got.body {
			t.Errorf("the repeat: %v %s", again.header, again.body)
		}
		if j := f.post("/v1/block?everywhere=true", num(2), "Content-Type: text/plain"); value[reply.Everywhere](t, j).Tasks != 3 {
			t.Errorf("a file: %s", j.body)
		}
		f.problem(f.post("/v1/block", `{"users":["`+num(1)+`"],"everywhere":true,"phone_number_id":"41"}`), http.StatusUnprocessableEntity, "invalid-everywhere")
		f.problem(f.post("/v1/unblock", body), http.StatusUnprocessableEntity, "invalid-everywhere")
		f.problem(f.post("/v1/block?everywhere=yes", num(2), "Content-Type: text/plain"), http.StatusUnprocessableEntity, "invalid-everywhere")
		f.problem(f.post("/v1/block", `{"users":["`+num(1)+`"],"everywhere":"true"}`), http.StatusBadRequest, "malformed-body")
		f.problem(f.post("/v1/block", body, "Idempotency-Key: "+strings.Repeat("k", 254)), http.StatusUnprocessableEntity, "invalid-request")
		f.problem(setup(t, rdb, func(c *api.Config) { c.PhoneNumberID = "" }).post("/v1/block", body), http.StatusUnprocessableEntity, "invalid-everywhere")
	})
}

func TestFile(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	text := "name,mobile\nann," + num(1) + "\nbob,none\n\ncy," + num(2) + "\n"
	got := f.post("/v1/block?queue=bulk&delay=1h", text, "Content-Type: text/csv; charset=utf-8")
	if j := value[job](t, got); j.Accepted != 2 || len(j.Rejected) != 1 || j.Rejected[0].Line != 3 || j.Queue != "bulk" || !strings.Contains(got.body, `"name":"mobile"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, strings.Join(nums(3), "\n"))
	_ = z.Close()
	if j := value[job](t, f.post("/v1/unblock", zipped.String(), "Content-Type: text/plain", "Content-Encoding: gzip")); j.Accepted != 3 {
		t.Errorf("%+v", j)
	}
	f.problem(f.post("/v1/block", "a,b\nc,d\n", "Content-Type: text/csv"), http.StatusUnprocessableEntity, "invalid-column")
	if j := value[job](t, f.post("/v1/block?column=2", "a,b\nc,"+num(1)+"\n", "Content-Type: text/csv")); j.Accepted != 1 {
		t.Errorf("%+v", j)
	}
	f.problem(f.post("/v1/block", "", "Content-Type: text/csv"), http.StatusUnprocessableEntity, "no-users")
	f.problem(f.post("/v1/block", "\x00\x01\x02", "Content-Type: text/plain"), http.StatusBadRequest, "malformed-body")
	f.problem(f.post("/v1/block", strings.Repeat(num(1)+"\n", 100_001), "Content-Type: text/plain"), http.StatusRequestEntityTooLarge, "too-many-users")
}

// TestKeys: the same key and request is the same job, from whichever worker.
func TestKeys(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		one, other := setup(t, rdb), setup(t, rdb)
		for _, key := range []string{"spam-report-42", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "a/b c?ö", strings.Repeat("k", 255)} {
			first := one.post("/v1/block", users(num(1), num(2)), "Idempotency-Key: "+key)
			again := other.post("/v1/block", users(num(2), num(1), num(2)), `Idempotency-Key: "`+key+`"`)
			if first.status != http.StatusAccepted || first.header.Get("Idempotent-Replayed") != "" ||
				again.status != http.StatusAccepted || again.header.Get("Idempotent-Replayed") != "true" || again.body != first.body ||
				again.header.Get("Location") != first.header.Get("Location") || value[job](t, first).JobID != key {
				t.Errorf("%.20s: %d %s, then %d %v %s", key, first.status, first.body, again.status, again.header, again.body)
			}
			one.problem(other.post("/v1/unblock", users(num(1), num(2)), "Idempotency-Key: "+key), http.StatusConflict, "job-conflict")
			one.problem(other.post("/v1/block", users(num(1)), "Idempotency-Key: "+key), http.StatusConflict, "job-conflict")
		}
		for _, key := range []string{`""`, strings.Repeat("k", 256), "report " + num(1), "report-" + num(1)[1:], "a\x7f"} {
			one.problem(one.post("/v1/block", users(num(1)), "Idempotency-Key: "+key), http.StatusUnprocessableEntity, "invalid-idempotency-key")
		}
		one.problem(one.post("/v1/block", users(num(1)), "Idempotency-Key: a", "Idempotency-Key: b"), http.StatusUnprocessableEntity, "invalid-idempotency-key")
	})
}

// TestKeyAtOnce sends the same request to two workers at the same time.
func TestKeyAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		workers := []*fixture{setup(t, rdb), setup(t, rdb)}
		for round := range redistest.Rounds(t, 5, 100) {
			got := make([]result, 8)
			var all sync.WaitGroup
			for i := range got {
				all.Go(func() {
					got[i] = workers[i%2].post("/v1/block", users(nums(1100)...), fmt.Sprint("Idempotency-Key: once-", round))
				})
			}
			all.Wait()
			fresh := 0
			for _, g := range got {
				if g.status != http.StatusAccepted || g.body != got[0].body {
					t.Fatalf("%d %.200s", g.status, g.body)
				}
				if g.header.Get("Idempotent-Replayed") == "" {
					fresh++
				}
			}
			if fresh > 1 {
				t.Errorf("%d of %d say that they are the first", fresh, len(got))
			}
		}
	})
}

func TestWrongRequests(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		code       string
	}{
		"no users":            {"/v1/block", `{"users":[]}`, nil, 422, "no-users"},
		"null users":          {"/v1/block", `{"users":null}`, nil, 422, "no-users"},
		"users left out":      {"/v1/block", `{}`, nil, 422, "no-users"},
		"rejected alone":      {"/v1/block", users("x", "y"), nil, 422, "no-users"},
		"numbers":             {"/v1/block", `{"users":[16505550001]}`, nil, 400, "malformed-body"},
		"a string":            {"/v1/block", `{"users":"+16505550001"}`, nil, 400, "malformed-body"},
		"unknown field":       {"/v1/block", `{"users":["+16505550001"],"force":true}`, nil, 400, "unknown-field"},
		"number as a field":   {"/v1/block", `{"+16505550001":true}`, nil, 400, "unknown-field"},
		"capitals":            {"/v1/block", `{"Users":["+16505550001"]}`, nil, 400, "unknown-field"},
		"a field twice":       {"/v1/block", `{"users":["+16505550001"],"users":["+16505550002"]}`, nil, 400, "malformed-body"},
		"list":                {"/v1/block", `["+16505550001"]`, nil, 400, "malformed-body"},
		"empty":               {"/v1/block", ``, nil, 400, "malformed-body"},
		"truncated":           {"/v1/block", `{"users":["+16505550001"`, nil, 400, "malformed-body"},
		"two objects":         {"/v1/block", users(num(1)) + users(num(2)), nil, 400, "malformed-body"},
		"queue":               {"/v1/block", `{"users":["+16505550001"],"queue":"reconcile"}`, nil, 422, "invalid-queue"},
		"delay":               {"/v1/block", `{"users":["+16505550001"],"delay":"soon"}`, nil, 422, "invalid-delay"},
		"negative delay":      {"/v1/block", `{"users":["+16505550001"],"delay":"-1h"}`, nil, 422, "invalid-delay"},
		"delay as a number":   {"/v1/block", `{"users":["+16505550001"],"delay":60}`, nil, 400, "malformed-body"},
		"country":             {"/v1/block", `{"users":["+16505550001"],"country":"Atlantis"}`, nil, 422, "invalid-country"},
		"number for an ID":    {"/v1/block", `{"users":["+16505550001"],"phone_number_id":"+16505550001"}`, nil, 422, "invalid-phone-number-id"},
		"query beside JSON":   {"/v1/block?queue=bulk", users(num(1)), nil, 400, "unknown-field"},
		"unknown parameter":   {"/v1/block?force=1", num(1), []string{"Content-Type: text/csv"}, 400, "unknown-field"},
		"parameter twice":     {"/v1/block?queue=bulk&queue=bulk", num(1), []string{"Content-Type: text/csv"}, 400, "malformed-query"},
		"form":                {"/v1/block", "users=1", []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported-media-type"},
		"no content type":     {"/v1/block", users(num(1)), []string{"Content-Type: "}, 415, "unsupported-media-type"},
		"latin1":              {"/v1/block", users(num(1)), []string{"Content-Type: application/json; charset=latin1"}, 415, "unsupported-media-type"},
		"brotli":              {"/v1/block", users(num(1)), []string{"Content-Encoding: br"}, 415, "unsupported-encoding"},
		"not gzip":            {"/v1/block", users(num(1)), []string{"Content-Encoding: gzip"}, 400, "body-cut-off"},
		"100,001 users":       {"/v1/block", users(append(nums(100_000), num(1))...), nil, 413, "too-many-users"},
		"8 MiB and more":      {"/v1/block", `{"users":["` + strings.Repeat(" ", 8<<20) + `"]}`, nil, 413, "body-too-large"},
		"gzip of 8 MiB":       {"/v1/block", bomb(t), []string{"Content-Encoding: gzip"}, 413, "body-too-large"},
		"1,001 questions":     {"/v1/status", users(nums(1001)...), nil, 413, "too-many-users"},
		"no question":         {"/v1/status", users(), nil, 422, "no-users"},
		"CSV question":        {"/v1/status", num(1), []string{"Content-Type: text/csv"}, 415, "unsupported-media-type"},
		"redrive what":        {"/v1/dead-letters/redrive", `{}`, nil, 422, "no-filter"},
		"discard what":        {"/v1/dead-letters/discard", `{"all":false,"dry_run":true}`, nil, 422, "no-filter"},
		"discard not numbers": {"/v1/dead-letters/discard", users("x"), nil, 422, "invalid-users"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := *f
			f.T = t
			f.problem(f.post(c.path, c.body, c.headers...), c.status, c.code)
		})
	}
	for path, code := range map[string]string{
		"/v1/dead-letters?limit=0": "invalid-limit", "/v1/dead-letters?limit=1001": "invalid-limit", "/v1/dead-letters?cursor=%25": "invalid-cursor",
		"/v1/dead-letters?cursor=zz": "invalid-cursor", "/v1/dead-letters?cursor=MTA2NTQwMzUyMjQyOTIyOmFi": "invalid-cursor",
		"/v1/jobs?limit=0": "invalid-limit", "/v1/jobs?state=x": "invalid-state",
		"/v1/dead-letters?code=x": "invalid-code", "/v1/dead-letters?older_than=x": "invalid-older-than", "/v1/limits?phone_number_id=x": "invalid-phone-number-id",
	} {
		f.problem(f.do(http.MethodGet, path, ""), http.StatusUnprocessableEntity, code)
	}
	f.problem(f.do(http.MethodGet, "/v1/nowhere", ""), http.StatusNotFound, "not-found")
	got := f.do(http.MethodGet, "/v1/block", "")
	f.problem(got, http.StatusMethodNotAllowed, "method-not-allowed")
	if got.header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", got.header.Get("Allow"))
	}
	several := setup(t, rdb, func(c *api.Config) { c.PhoneNumberID = "" })
	several.problem(several.post("/v1/block", users(num(1))), http.StatusUnprocessableEntity, "invalid-phone-number-id")
	several.problem(several.post("/v1/status", users(num(1))), http.StatusUnprocessableEntity, "invalid-phone-number-id")
}

// bomb is a small body that is large when it is decompressed.
func bomb(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(bytes.Repeat([]byte(" "), 64<<20)); err != nil {
		t.Fatal(err)
	}
	_ = z.Close()
	return b.String()
}

func TestCallers(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	readOnly := setup(t, rdb, func(c *api.Config) { c.Access = tokens(t, true) })
	local := setup(t, rdb, func(c *api.Config) { c.Access = nil })
	type call struct{ method, path, body, needs string }
	scopes := map[string]int{"": 0, reader: 1, writer: 2, admin: 3}
	for _, c := range []call{
		{http.MethodPost, "/v1/block", users(num(1)), writer},
		{http.MethodPost, "/v1/unblock", users(num(1)), writer},
		{http.MethodPost, "/v1/status", users(num(1)), reader},
		{http.MethodGet, "/v1/dead-letters", "", reader},
		{http.MethodPost, "/v1/dead-letters/redrive", `{"all":true}`, writer},
		{http.MethodPost, "/v1/dead-letters/discard", `{"all":true}`, admin},
		{http.MethodGet, "/v1/overview", "", reader},
		{http.MethodGet, "/v1/limits", "", reader},
		{http.MethodGet, "/v1/openapi.json", "", ""},
	} {
		for token, scope := range scopes {
			got := f.do(c.method, c.path, c.body, "Authorization: Bearer "+token)
			switch {
			case scope >= scopes[c.needs]:
				if got.status >= 400 {
					t.Errorf("%s %s with %q = %d %s", c.method, c.path, token, got.status, got.body)
				}
			case scope == 0:
				f.problem(got, http.StatusUnauthorized, "unauthorized")
			default:
				f.problem(got, http.StatusForbidden, "forbidden")
			}
		}
		if scopes[c.needs] > 1 {
			f.problem(readOnly.do(c.method, c.path, c.body), http.StatusForbidden, "read-only")
		}
		if got := local.do(c.method, c.path, c.body, "Host: localhost:8080", "Authorization: "); got.status >= 400 {
			t.Errorf("%s %s from this machine = %d %s", c.method, c.path, got.status, got.body)
		}
		if c.needs != "" {
			f.problem(local.do(c.method, c.path, c.body, "Host: evil.example", "Authorization: "), http.StatusMisdirectedRequest, "wrong-host")
		}
		if c.method == http.MethodPost {
			f.problem(local.do(c.method, c.path, c.body, "Host: localhost", "Sec-Fetch-Site: cross-site"), http.StatusForbidden, "cross-site")
			f.problem(local.do(c.method, c.path, c.body, "Host: localhost", "Origin: https://evil.example"), http.StatusForbidden, "cross-site")
		}
	}
	f.problem(f.do(http.MethodGet, "/v1/nowhere", "", "Authorization: "), http.StatusUnauthorized, "unauthorized")
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb)
		kill(t, rdb, 25)
		seen, cursor := map[string]bool{}, ""
		for pages := 1; ; pages++ {
			got := value[struct {
				DeadLetters []struct {
					User string
					Code int
				} `json:"dead_letters"`
				NextCursor string `json:"next_cursor"`
			}](t, f.do(http.MethodGet, "/v1/dead-letters?limit=10&cursor="+cursor, "", "Authorization: Bearer "+reader))
			for _, e := range got.DeadLetters {
				seen[e.User] = true
			}
			if cursor = got.NextCursor; cursor == "" {
				if pages != 3 || len(seen) != 25 {
					t.Errorf("%d entries on %d pages", len(seen), pages)
				}
				break
			}
		}
		count := func(body string) int {
			t.Helper()
			got := f.post("/v1/dead-letters/discard", body)
			v := value[struct {
				Discarded int
				Entries   []any
			}](t, got)
			if strings.Contains(body, "dry_run") && len(v.Entries) != v.Discarded {
				t.Errorf("%s: %s", body, got.body)
			}
			return v.Discarded
		}
		if n := count(`{"code":131047,"dry_run":true}`); n != 13 {
			t.Errorf("%d entries of the code", n)
		}
		if n := count(`{"code":[131047,131021],"older_than":"1h","dry_run":true}`); n != 0 {
			t.Errorf("%d entries are old", n)
		}
		if n := count(users(num(1), num(2))); n != 2 {
			t.Errorf("%d discarded", n)
		}
		type redriven struct {
			Redriven, Protected int
			Jobs                []job
			Entries             []struct{ Action string }
		}
		got := f.post("/v1/dead-letters/redrive", `{"all":true,"dry_run":true}`)
		if v := value[redriven](t, got); got.status != http.StatusOK || v.Redriven != 23 || len(v.Jobs) != 0 || len(v.Entries) != 23 || v.Entries[0].Action != "redriven" {
			t.Errorf("%d %s", got.status, got.body)
		}
		protected, err := user.FromCanonical(num(3))
		if err == nil {
			err = protect.Add(t.Context(), rdb, phoneNumberID, []user.ID{protected}, "staff", "ana")
		}
		if err != nil {
			t.Fatal(err)
		}
		got = f.post("/v1/dead-letters/redrive", `{"all":true,"phone_number_id":"`+phoneNumberID+`"}`)
		v := value[redriven](t, got)
		if got.status != http.StatusAccepted || v.Redriven != 22 || v.Protected != 1 || len(v.Jobs) != 1 || v.Jobs[0].Accepted != 22 {
			t.Errorf("%d %s", got.status, got.body)
		}
		if job := value[struct {
			By string `json:"requested_by"`
		}](t, f.do(http.MethodGet, "/v1/jobs/"+v.Jobs[0].JobID, "")); job.By != "ops" {
			t.Errorf("asked for by %q", job.By)
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb)
		const at = "/v1/phone-numbers/" + phoneNumberID
		type paused struct {
			Operations []string
			Reason     string
			By         string    `json:"requested_by"`
			Until      time.Time `json:"until"`
		}
		got := value[paused](t, f.post(at+"/pause", `{"reason":"wrong file","operation":"block","for":"2h"}`))
		if len(got.Operations) != 1 || got.Operations[0] != "block" || got.Reason != "wrong file" || got.By != "ops" || got.Until.IsZero() {
			t.Errorf("%+v", got)
		}
		f.post("/v1/block", users(num(1)))
		if state := f.post("/v1/status", users(num(1))); !strings.Contains(state.body, `"waiting_for":"paused"`) {
			t.Errorf("%s", state.body)
		}
		if all, err := pause.Of(t.Context(), rdb, phoneNumberID); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
		if got := value[paused](t, f.post(at+"/resume", "", "Content-Type: ")); len(got.Operations) != 1 {
			t.Errorf("%+v", got)
		}
		if got := value[paused](t, f.post(at+"/resume", `{"operation":"unblock"}`)); len(got.Operations) != 0 {
			t.Errorf("%+v", got)
		}
		for body, code := range map[string]string{
			`{}`: "invalid-reason", `{"reason":" "}`: "invalid-reason", `{"reason":"a\nb"}`: "invalid-reason",
			`{"reason":"x","for":"0s"}`: "invalid-for", `{"reason":"x","for":"400d"}`: "invalid-for", `{"reason":"x","operation":"list"}`: "invalid-operation",
		} {
			f.problem(f.post(at+"/pause", body), http.StatusUnprocessableEntity, code)
		}
		f.problem(f.post("/v1/phone-numbers/x/pause", `{"reason":"x"}`), http.StatusUnprocessableEntity, "invalid-phone-number-id")
		f.problem(f.post(at+"/pause", `{"reason":"x"}`, "Authorization: Bearer "+writer), http.StatusForbidden, "forbidden")
	})
}

// kill puts users into the dead-letter queue, the even ones with 131047, the others with 131021.
func kill(t *testing.T, rdb redis.UniversalClient, n int) {
	t.Helper()
	f := setup(t, rdb)
	if got := f.post("/v1/block", users(nums(n)...)); got.status != http.StatusAccepted {
		t.Fatal(got.body)
	}
	l := ledger.New(rdb, phoneNumberID)
	c, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: "c", Max: n, Timeout: time.Minute})
	if err != nil || len(c.Users) != n {
		t.Fatal(len(c.Users), err)
	}
	var settled []ledger.Settlement
	for _, u := range c.Users {
		code := 131021
		if u.User.Reveal()[len(num(0))-1]%2 == 0 {
			code = 131047
		}
		settled = append(settled, ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Kill, Failure: &ledger.Failure{Code: code, Message: "m"}})
	}
	if _, err := l.Settle(t.Context(), "c", settled); err != nil {
		t.Fatal(err)
	}
	if _, err := deadletter.New(rdb).Sync(t.Context(), phoneNumberID); err != nil {
		t.Fatal(err)
	}
}

// TestRedisDown: what was not accepted says so, with the key to come again with.
func TestRedisDown(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	for text, code := range map[string]string{"LOADING Redis is loading": "redis-unavailable", "OOM command not allowed when used memory > 'maxmemory'.": "redis-full"} {
		mini.SetError(text)
		got := f.post("/v1/block", users(num(1)))
		f.problem(got, http.StatusServiceUnavailable, code)
		if value[struct {
			JobID string `json:"job_id"`
		}](t, got).JobID == "" {
			t.Errorf("no key to come again with: %s", got.body)
		}
		f.problem(f.post("/v1/status", users(num(1))), http.StatusServiceUnavailable, code)
		mini.SetError("")
	}
}

// TestClasses: routes of one class that are all taken keep no other waiting, and a slow or cut body
// ends within its bound.
func TestClasses(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	head := func(extra string) string {
		return "POST /v1/block HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + admin + "\r\nContent-Type: application/json\r\n" + extra + "\r\n\r\n{"
	}
	dial := func(text string) net.Conn {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	answer := func(c net.Conn) string {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		b, _ := io.ReadAll(c) // the server hangs up
		return string(b)
	}
	first := make(chan string, 5)
	for range 5 { // large ones that never come, one more than are read at once
		c := dial(head("Content-Length: 1000000"))
		go func() { first <- answer(c) }()
	}
	if got := <-first; !strings.Contains(got, "503") || !strings.Contains(got, `"busy"`) || !strings.Contains(got, "Retry-After: 1") {
		t.Errorf("one of five: %s", got)
	}
	if got := f.post("/v1/block", users(num(1))); got.status != http.StatusAccepted {
		t.Errorf("a small one waits for large ones: %d %s", got.status, got.body)
	}
	cut := dial(head("Content-Length: 100"))
	_ = cut.(*net.TCPConn).CloseWrite()
	if got := answer(cut); !strings.Contains(got, "body-cut-off") {
		t.Errorf("cut off: %s", got)
	}
	if redistest.Rounds(t, 0, 1) > 0 {
		if got := answer(dial(head("Content-Length: 100"))); !strings.Contains(got, "body-cut-off") {
			t.Errorf("slow: %s", got)
		}
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	got := f.do(http.MethodGet, "/v1/openapi.json", "", "Authorization: ")
	if got.status != http.StatusOK || !strings.Contains(got.body, `"openapi": "3.1.0"`) {
		t.Errorf("%d %.200s", got.status, got.body)
	}
	d, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	// Each operation exists: without a token it asks for one.
	for path, methods := range d.paths {
		for method := range methods {
			got := f.do(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "x"), "", "Authorization: ")
			if path != "/v1/openapi.json" {
				f.problem(got, http.StatusUnauthorized, "unauthorized")
			}
			if got := f.do(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "x"), ""); strings.Contains(got.body, `"not-found"`) || got.status == http.StatusMethodNotAllowed {
				t.Errorf("%s %s is described, and not there", method, path)
			}
		}
	}
}

// FuzzBodies: whatever a body holds, the answer is one that openapi.json has.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{users(num(1)), `{"users":["x"],"delay":"7d"}`, `{"users":[[[[]]]]}`, "phone\n" + num(1), "\xff\xfe", `{"users":["\ud800"]}`, `{"code":[1,2],"all":true}`} {
		for i := range 4 {
			f.Add(s, i)
		}
	}
	f.Fuzz(func(t *testing.T, text string, which int) {
		_, rdb := redistest.Mini(t)
		a := setup(t, rdb)
		paths := []string{"/v1/block", "/v1/status", "/v1/dead-letters/redrive", "/v1/unblock"}
		kinds := []string{"application/json", "application/json", "application/json", "text/csv"}
		i := int(uint(which) % 4)
		if got := a.post(paths[i], text, "Content-Type: "+kinds[i]); got.status >= 500 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}

// TestTraceparent: the tasks of a request carry on the trace that its header names.
func TestTraceparent(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	f.post("/v1/block", `{"users":["+16505551234"]}`, "Idempotency-Key: traced", "traceparent: 00-"+id+"-00f067aa0ba902b7-01")
	info, err := asynq.NewInspectorFromRedisClient(rdb).GetTaskInfo("interactive", queues.TaskID("traced", 0))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := queues.Decode(info.Type, info.Payload); err != nil || !strings.Contains(p.Traceparent, id) {
		t.Errorf("%q, %v", p.Traceparent, err)
	}
}
