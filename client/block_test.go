package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/user"
)

// The answers of the reference page, as it prints them.
const (
	refBlocked   = `{ "messaging_product": "whatsapp", "block_users": { "added_users": [ { "input": "+16505551234", "wa_id": "16505551234" }, { "input": "+14155559876", "wa_id": "14155559876" } ] } }`
	refUnblocked = `{ "messaging_product": "whatsapp", "block_users": { "removed_users": [ { "input": "+16505551234", "wa_id": "16505551234" }, { "input": "+14155559876", "wa_id": "14155559876" } ] } }`
	refMixed     = `{ "messaging_product": "whatsapp", "block_users": { "added_users": [ { "input": "+16505551234", "wa_id": "16505551234" } ], "failed_users": [ { "input": "+14155559876", "wa_id": "14155559876", "errors": [ { "message": "Re-engagement required", "code": 131047, "error_data": { "details": "User has not messaged in the last 24 hours" } } ] } ] }, "error": { "message": "(#139100) Failed to block/unblock users", "type": "OAuthException", "code": 139100, "error_data": { "details": "Failed to block some users, see the block_users response list for details" }, "fbtrace_id": "AbCdEf" } }`
	refError     = `{"messaging_product":"whatsapp","error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,"error_data":{"details":"Too many"},"fbtrace_id":"AbCdEf"}}`
)

// fate is an Outcome that a table can spell.
type fate struct {
	State client.OutcomeState
	WaID  string
	Code  int // 0 without an error
}

func fates(r *client.Result) []fate {
	if r == nil {
		return nil
	}
	out := make([]fate, len(r.Outcomes))
	for i, o := range r.Outcomes {
		out[i] = fate{State: o.State, WaID: o.WaID}
		if o.Error != nil {
			out[i].Code = o.Error.Code
		}
	}
	return out
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const alice, bob = "+16505551234", "+14155559876"
	const aliceID, bobID = "16505551234", "14155559876"
	ok := []fate{{client.Succeeded, aliceID, 0}, {client.Succeeded, bobID, 0}}
	mixed := []fate{{client.Succeeded, aliceID, 0}, {client.Failed, bobID, 131047}}
	nothing := []fate{{}, {}}
	failed := func(errors string) string {
		return `{"block_users":{"added_users":[],"failed_users":[{"input":"` + alice + `","errors":` + errors + `}]}}`
	}
	tests := map[string]struct {
		unblock bool
		users   []string // alice and bob when nil
		status  int
		body    string
		want    []fate
		code    int // of an APIError; 0 for none
	}{
		"reference, blocked":            {status: 200, body: refBlocked, want: ok},
		"reference, unblocked":          {unblock: true, status: 200, body: refUnblocked, want: ok},
		"reference, mixed with 400":     {status: 400, body: refMixed, want: mixed},
		"mixed with 200":                {status: 200, body: refMixed, want: mixed},
		"mixed with 500":                {status: 500, body: refMixed, want: mixed},
		"mixed unblock":                 {unblock: true, status: 400, body: strings.Replace(refMixed, "added_users", "removed_users", 1), want: mixed},
		"older unblock":                 {unblock: true, status: 200, body: refBlocked, want: ok},
		"removed users answer no block": {status: 200, body: refUnblocked, want: nothing},
		"empty failed list": {
			status: 200, want: ok,
			body: strings.Replace(refBlocked, `] } }`, `], "failed_users": [] } }`, 1),
		},
		"order of its own": {
			users: []string{bob, alice}, status: 200, body: refBlocked,
			want: []fate{{client.Succeeded, bobID, 0}, {client.Succeeded, aliceID, 0}},
		},
		"one twice": {
			users: []string{alice, bob, alice}, status: 400, body: refMixed,
			want: append(mixed[:2:2], mixed[0]),
		},
		"in neither list":             {users: []string{alice, "+15550001234"}, status: 200, body: refBlocked, want: []fate{ok[0], {}}},
		"lists absent":                {status: 200, body: `{"messaging_product":"whatsapp","block_users":{}}`, want: nothing},
		"lists null":                  {status: 200, body: `{"block_users":{"added_users":null,"failed_users":null}}`, want: nothing},
		"lists no lists":              {status: 200, body: `{"block_users":{"added_users":{"0":1},"failed_users":"none"}}`, want: nothing},
		"entries no users":            {status: 200, body: `{"block_users":{"added_users":[7,null,"x",{}]}}`, want: nothing},
		"in both lists":               {status: 400, body: strings.ReplaceAll(refMixed, `"input": "+14155559876"`, `"input": "+16505551234"`), want: []fate{{client.Unknown, aliceID, 0}, {}}},
		"input without plus":          {status: 200, body: strings.ReplaceAll(refBlocked, `"+`, `"`), want: ok},
		"input as number":             {status: 200, body: `{"block_users":{"added_users":[{"input":16505551234,"wa_id":16505551234}]}}`, want: []fate{ok[0], {}}},
		"input escaped":               {status: 200, body: `{"block_users":{"added_users":[{"input":"\u002b16505551234","wa_id":"\u00316505551234"}]}}`, want: []fate{ok[0], {}}},
		"matched by wa_id":            {status: 200, body: `{"block_users":{"added_users":[{"wa_id":"16505551234"}]}}`, want: []fate{ok[0], {}}},
		"input before wa_id":          {status: 400, body: `{"block_users":{"added_users":[{"input":"+19990000000","wa_id":"16505551234"}],"failed_users":[{"input":"+16505551234","errors":[{"code":131047}]}]}}`, want: []fate{{client.Failed, "", 131047}, {}}},
		"wa_id of its own":            {users: []string{"+5592981723241"}, status: 200, body: `{"block_users":{"added_users":[{"input":"+5592981723241","wa_id":"559281723241"}]}}`, want: []fate{{client.Succeeded, "559281723241", 0}}},
		"business-scoped ID":          {users: []string{"US.13491208655302741918"}, status: 200, body: `{"block_users":{"added_users":[{"input":"US.13491208655302741918","user_id":"US.13491208655302741918"}]}}`, want: []fate{{client.Succeeded, "", 0}}},
		"matched by user_id":          {users: []string{"US.13491208655302741918"}, status: 200, body: `{"block_users":{"added_users":[{"user_id":"US.13491208655302741918"}]}}`, want: []fate{{client.Succeeded, "", 0}}},
		"code as string":              {status: 400, body: failed(`[{"code":"131047"}]`), want: []fate{{client.Failed, "", 131047}, {}}},
		"code as fraction":            {status: 400, body: failed(`[{"code":131047.0}]`), want: []fate{{client.Failed, "", 131047}, {}}},
		"code zero":                   {status: 400, body: failed(`[{"code":0,"error_data":"text"}]`), want: []fate{{client.Failed, "", 0}, {}}},
		"no code":                     {status: 400, body: failed(`[{"message":"x"}]`), want: []fate{{client.Failed, "", client.NoCode}, {}}},
		"code of no kind":             {status: 400, body: failed(`[{"code":{}}]`), want: []fate{{client.Failed, "", client.NoCode}, {}}},
		"code beyond numbers":         {status: 400, body: failed(`[{"code":1e99}]`), want: []fate{{client.Failed, "", client.NoCode}, {}}},
		"no errors":                   {status: 400, body: failed(`[]`), want: []fate{{client.Failed, "", client.NoCode}, {}}},
		"errors null":                 {status: 400, body: failed(`null`), want: []fate{{client.Failed, "", client.NoCode}, {}}},
		"errors one object":           {status: 400, body: failed(`{"code":131021}`), want: []fate{{client.Failed, "", 131021}, {}}},
		"errors a string":             {status: 400, body: failed(`"bad"`), want: []fate{{client.Failed, "", client.NoCode}, {}}},
		"whole call":                  {status: 400, body: refError, want: nothing, code: 130429},
		"whole call with 200":         {status: 200, body: refError, want: nothing, code: 130429},
		"whole call with string code": {status: 400, body: strings.Replace(refError, `:130429`, `:"130429"`, 1), want: nothing, code: 130429},
		"139100 without lists":        {status: 400, body: `{"error":{"code":139100}}`, want: nothing, code: 139100},
		"139100 with empty lists":     {status: 400, body: `{"block_users":{"added_users":[],"failed_users":[]},"error":{"code":139100}}`, want: nothing, code: 139100},
		"cut short by the limit": {
			status: 400, code: 130429, want: []fate{ok[0], {}},
			body: `{"block_users":{"added_users":[{"input":"+16505551234","wa_id":"16505551234"}]},"error":{"code":130429}}`,
		},
		"error a string": {status: 500, body: `{"error":"boom"}`, want: nothing, code: client.NoCode},
		"error a list":   {status: 500, body: `{"error":[]}`, want: nothing, code: client.NoCode},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, reply(tt.status, tt.body))
			if tt.users == nil {
				tt.users = []string{alice, bob}
			}
			call := c.Block
			if tt.unblock {
				call = c.Unblock
			}
			result, err := call(t.Context(), phoneNumberID, ids(t, tt.users...))
			if diff := cmp.Diff(tt.want, fates(result)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			code := 0
			if e, ok := errors.AsType[*client.APIError](err); ok {
				code = e.Code
			}
			if code != tt.code || (err != nil) != (tt.code != 0) {
				t.Errorf("error %v, want code %d", err, tt.code)
			}
			if result != nil && result.Meta.Status != tt.status {
				t.Errorf("status %d", result.Meta.Status)
			}
		})
	}
}

func TestErrorFields(t *testing.T) {
	t.Parallel()
	body := `{"error":{"message":"no +16505551234","type":"OAuthException","code":"190","error_subcode":463,"is_transient":true,
		"error_data":{"messaging_product":"whatsapp","details":"expired"},"fbtrace_id":"AbC-1_2"}}`
	c := newClient(t, reply(401, body, "Retry-After", "7"))
	result, err := c.Block(t.Context(), phoneNumberID, many(t, 1))
	e, ok := errors.AsType[*client.APIError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	meta := client.Meta{Status: 401, RetryAfter: 7e9, FBTraceID: "AbC-1_2"}
	want := &client.APIError{
		Code: 190, Subcode: 463, Type: "OAuthException", Message: "no …", Details: "expired",
		FBTraceID: "AbC-1_2", IsTransient: true, Meta: meta,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(meta, result.Meta); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if client.Classify(err).Remedy != client.Halt {
		t.Errorf("the remedy is %v", client.Classify(err).Remedy)
	}
	if got := e.Error(); got != "client: the API answered code 190, subcode 463: no …: expired (fbtrace_id AbC-1_2)" {
		t.Error(got)
	}
}

func TestUserErrorCarriesTheTraceAndNoStatus(t *testing.T) {
	t.Parallel()
	c := newClient(t, reply(500, refMixed))
	result, err := c.Block(t.Context(), phoneNumberID, ids(t, "+16505551234", "+14155559876"))
	if err != nil {
		t.Fatal(err)
	}
	want := &client.APIError{Code: 131047, Message: "Re-engagement required", Details: "User has not messaged in the last 24 hours", FBTraceID: "AbCdEf"}
	if diff := cmp.Diff(want, result.Outcomes[1].Error); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	type seen struct{ Method, URL, Body, Type, Auth, Agent string }
	var got seen
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.URL.String(), string(body), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), r.UserAgent()}
		_, _ = io.WriteString(w, `{"block_users":{},"data":[]}`)
	}, client.WithAppSecret(secret.Static(secret.New("app secret"))), client.WithUserAgent("tester/1"))
	// echo -n EAAJBsecretToken42 | openssl dgst -sha256 -hmac "app secret"
	const proof = "appsecret_proof=4f070dc72a4554851b74fcfd12ccd6ffaeb9837c75bff3ac03e54c90ef9913ad"
	const path = "/graph/v25.0/" + phoneNumberID + "/block_users?"
	users := ids(t, "+16505551234", "US.13491208655302741918", "+16505551234", "+14155559876")
	body := `{"messaging_product":"whatsapp","block_users":[{"user":"+16505551234"},{"user_id":"US.13491208655302741918"},{"user":"+14155559876"}]}`
	want := seen{"POST", path + proof, body, "application/json", "Bearer " + token, "tester/1"}

	if _, err := c.Block(t.Context(), phoneNumberID, users); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("block (-want +got):\n%s", diff)
	}
	if _, err := c.Unblock(t.Context(), phoneNumberID, users); err != nil {
		t.Fatal(err)
	}
	want.Method = "DELETE"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unblock (-want +got):\n%s", diff)
	}
	if _, err := c.ListPage(t.Context(), phoneNumberID, client.ListOptions{Limit: 10, After: "a=&b"}); err != nil {
		t.Fatal(err)
	}
	want = seen{"GET", path + "after=a%3D%26b&" + proof + "&limit=10", "", "", "Bearer " + token, "tester/1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestRequestIsJSON(t *testing.T) {
	t.Parallel()
	users := many(t, client.MaxUsers)
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Users []struct{ User string } `json:"block_users"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Users) != len(users) {
			t.Errorf("%d users, %v", len(body.Users), err)
		}
		_, _ = io.WriteString(w, `{"block_users":{"added_users":`+listOf(users)+`}}`)
	})
	result, err := c.Block(t.Context(), phoneNumberID, users)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range result.Outcomes {
		if o.User != users[i] || o.State != client.Succeeded || o.WaID != users[i].Reveal()[1:] {
			t.Fatalf("place %d: %v", i, o)
		}
	}
}

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	one := many(t, 1)
	block := func(id string, users []user.ID) error {
		_, err := c.Block(t.Context(), id, users)
		return err
	}
	list := func(o client.ListOptions) error {
		_, err := c.ListPage(t.Context(), phoneNumberID, o)
		return err
	}
	for name, err := range map[string]error{
		"no users":           block(phoneNumberID, nil),
		"too many users":     block(phoneNumberID, many(t, client.MaxUsers+1)),
		"zero user":          block(phoneNumberID, []user.ID{{}}),
		"no ID":              block("", one),
		"phone number as ID": block("+16505551234", one),
		"path as ID":         block("1/../me", one),
		"query as ID":        block("1?x=1", one),
		"long ID":            block(strings.Repeat("1", 33), one),
		"negative limit":     list(client.ListOptions{Limit: -1}),
		"both cursors":       list(client.ListOptions{After: "a", Before: "b"}),
	} {
		if !errors.Is(err, client.ErrInvalidRequest) || client.Classify(err).Remedy != client.DeadLetter {
			t.Errorf("%s: %v", name, err)
		}
	}
}
