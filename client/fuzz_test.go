package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
)

// sampleAnswers are answers as the API and what stands before it are known to give them.
var sampleAnswers = []string{
	refBlocked, refUnblocked, refMixed, refError, refPage, refListChanged, "", "null", "<html>+16505551234</html>",
	`{"block_users":{"failed_users":[{"input":"+16505551234","errors":[{"code":"131047","error_data":"+16505551234"}]}]}}`,
	`{"error":{"message":"+16505551234","code":16505551234,"error_subcode":"33","is_transient":true}}`,
	`{"data":[{"block_users":[{"input":"+16505551234","wa_id":16505551234}]}],"paging":{"next":"https://x/?after=%zz"}}`,
}

// FuzzAnswers reads any body as every kind of answer: no panic, one outcome per user, errors
// that classify and never hold the number.
func FuzzAnswers(f *testing.F) {
	for _, s := range sampleAnswers {
		f.Add([]byte(s))
	}
	const number = "16505551234"
	users := ids(f, "+"+number, "US."+number+"7", "+14155559876")
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := client.New("https://graph.example", "v25.0", secret.Static(secret.New(token)), client.WithTransport(canned(body)))
		if err != nil {
			t.Fatal(err)
		}
		hides := func(err error) {
			if err == nil {
				return
			}
			if strings.Contains(err.Error(), number) {
				t.Fatalf("the error shows the number: %v", err)
			}
			_, isAPI := errors.AsType[*client.APIError](err)
			_, isResponse := errors.AsType[*client.ResponseError](err)
			if !isAPI && !isResponse || client.Classify(err).Name == "" {
				t.Fatalf("%T is of no known kind", err)
			}
		}
		blocked, err := c.Block(t.Context(), phoneNumberID, users)
		hides(err)
		unblocked, err := c.Unblock(t.Context(), phoneNumberID, users)
		hides(err)
		for _, result := range []*client.Result{blocked, unblocked} {
			if result == nil {
				continue
			}
			if len(result.Outcomes) != len(users) {
				t.Fatalf("%d outcomes for %d users", len(result.Outcomes), len(users))
			}
			for i, o := range result.Outcomes {
				if o.User != users[i] || (o.State == client.Failed) != (o.Error != nil) {
					t.Fatalf("place %d: %+v", i, o)
				}
				if o.Error != nil {
					hides(o.Error)
				}
			}
		}
		page, err := c.ListPage(t.Context(), phoneNumberID, client.ListOptions{})
		hides(err)
		if (page == nil) != (err != nil) {
			t.Fatalf("page %v with error %v", page, err)
		}
	})
}

// FuzzHeaders reads any header values: no panic, nothing below zero or beyond a day.
func FuzzHeaders(f *testing.F) {
	f.Add("60", `{"1":[{"call_count":1,"estimated_time_to_regain_access":5}]}`, `{"call_count":9}`)
	f.Add("Thu, 21 May 2026 10:02:00 GMT", `{"1":[{"call_count":1e999}]}`, `{`)
	f.Fuzz(func(t *testing.T, retry, business, app string) {
		m := client.ReadMeta(retry, business, app)
		const day = 24 * 60 * 60 * 1e9
		if m.RetryAfter < 0 || m.RetryAfter > day || m.Usage.RegainAccess < 0 || m.Usage.RegainAccess > day {
			t.Fatalf("waits: %+v", m)
		}
		if p := m.Usage.Percent(); p < 0 || p > 1000 {
			t.Fatalf("percent: %+v", m)
		}
	})
}
