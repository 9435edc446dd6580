package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wablock/wablock/client"
)

const (
	refCursor = "eyJvZAmZAzZAXQiOjAsInZAlcnNpb25JZACI6IjE3Mzc2Nzk2ODgzODM1ODQifQZDZD"
	refPage   = `{ "data": [ { "messaging_product": "whatsapp", "wa_id": "16505551234" }, { "messaging_product": "whatsapp", "wa_id": "14155559876" } ], "paging": { "cursors": { "after": "` + refCursor + `", "before": "` + refCursor + `" } } }`
	// As Meta's page of February 2026 prints it.
	refListChanged = `{"messaging_product":"whatsapp","error":{"message":"(#139102) Blocklist concurrent update","type":"OAuthException","code":139102,"error_data":{"details":"Blocklist was updated during retrieval - retry with offset 0"},"fbtrace_id":""}}`
)

func TestListPage(t *testing.T) {
	t.Parallel()
	link := "https://graph.facebook.com/v25.0/1/block_users?access_token=EAA&limit=2&after=Af%3D&before=Be"
	for name, tt := range map[string]struct {
		body string
		want client.Page
	}{
		"reference": {refPage, client.Page{
			Entries: []client.Entry{{WaID: "16505551234"}, {WaID: "14155559876"}}, After: refCursor, Before: refCursor,
		}},
		"links":        {`{"data":[],"paging":{"cursors":{"after":"A","before":"B"},"next":"` + link + `","previous":"` + link + `"}}`, client.Page{After: "A", Before: "B", HasNext: true, HasPrevious: true}},
		"links alone":  {`{"data":[],"paging":{"next":"` + link + `","previous":"` + link + `"}}`, client.Page{After: "Af=", Before: "Be", HasNext: true, HasPrevious: true}},
		"no paging":    {`{"data":[]}`, client.Page{}},
		"odd paging":   {`{"data":[],"paging":[],"error":null}`, client.Page{}},
		"odd cursor":   {`{"data":[],"paging":{"cursors":{"after":7}}}`, client.Page{}},
		"user IDs":     {`{"data":[{"user_id":"US.1","parent_user_id":"US.ENT.1"}]}`, client.Page{Entries: []client.Entry{{UserID: "US.1", ParentUserID: "US.ENT.1"}}}},
		"wa_id number": {`{"data":[{"wa_id":16505551234}]}`, client.Page{Entries: []client.Entry{{WaID: "16505551234"}}}},
		"neither":      {`{"data":[{"name":"x"}]}`, client.Page{Entries: []client.Entry{{}}}},
		"older shape": {`{"data":[{"block_users":[{"input":"+1650","wa_id":"1650"},{"wa_id":"1415"}]},{"block_users":[]}]}`, client.Page{
			Entries: []client.Entry{{WaID: "1650"}, {WaID: "1415"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, reply(200, tt.body))
			got, err := c.ListPage(t.Context(), phoneNumberID, client.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range got.Entries {
				if !json.Valid(e.Raw) || !strings.Contains(tt.body, string(e.Raw)) {
					t.Errorf("raw entry %d is not as it came: %s", i, e.Raw)
				}
			}
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreFields(client.Entry{}, "Raw"), cmpopts.IgnoreFields(client.Page{}, "Meta")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoPageIsNeverAnEmptyPage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
	}{
		"no data":      {200, `{"paging":{}}`},
		"data null":    {200, `{"data":null}`},
		"data object":  {200, `{"data":{}}`},
		"no users":     {200, `{"data":["16505551234"]}`},
		"null user":    {200, `{"data":[null]}`},
		"no old users": {200, `{"data":[{"block_users":[7]}]}`},
		"status":       {500, `{"data":[]}`},
		"error beside": {200, `{"data":[],"error":{"code":1}}`},
		"cut off":      {200, refPage[:120]},
		"empty":        {200, ``},
	} {
		c := newClient(t, reply(tt.status, tt.body))
		if page, err := c.ListPage(t.Context(), phoneNumberID, client.ListOptions{}); err == nil {
			t.Errorf("%s: %+v", name, page)
		}
	}
}

// pageOf writes a page of n users, numbered from first, with a cursor after its last.
func pageOf(first, n int, next bool) string {
	data := make([]map[string]string, n)
	for i := range data {
		data[i] = map[string]string{"messaging_product": "whatsapp", "wa_id": fmt.Sprint(1000 + first + i)}
	}
	paging := map[string]any{"cursors": map[string]string{"after": fmt.Sprint("c", first+n), "before": fmt.Sprint("c", first)}}
	if next {
		paging["next"] = "https://graph.example/next"
	}
	body, _ := json.Marshal(map[string]any{"data": data, "paging": paging})
	return string(body)
}

// walkOver lists pages, which the test names in their order, and returns the queries.
func walkOver(t *testing.T, o client.ListOptions, pages ...string) (got []string, queries []url.Values, err error) {
	t.Helper()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.Query())
		if len(queries) > len(pages) {
			t.Errorf("asked for page %d with %v", len(queries), r.URL.Query())
			return
		}
		_, _ = io.WriteString(w, pages[len(queries)-1])
	})
	for e, failed := range c.List(t.Context(), phoneNumberID, o) {
		if failed != nil {
			err = failed
			continue // the sequence must end by itself
		}
		got = append(got, e.WaID)
	}
	if err == nil && len(queries) != len(pages) {
		t.Errorf("stopped after %d pages of %d", len(queries), len(pages))
	}
	return got, queries, err
}

func TestListEnds(t *testing.T) {
	t.Parallel()
	empty := `{"data":[]}`
	for name, tt := range map[string]struct {
		limit int
		pages []string
		users int
	}{
		"empty list":                 {10, []string{empty}, 0},
		"short page":                 {10, []string{refPage}, 2},
		"next, then short":           {4, []string{pageOf(0, 4, true), pageOf(4, 3, false)}, 7},
		"short pages with next":      {10, []string{pageOf(0, 3, true), pageOf(3, 2, true), pageOf(5, 1, false)}, 6},
		"empty page before the end":  {10, []string{pageOf(0, 3, true), strings.Replace(pageOf(3, 0, true), "c3", "d3", 1), pageOf(3, 2, false)}, 5},
		"full page without next":     {4, []string{pageOf(0, 4, false), empty}, 4},
		"no next is ever named":      {4, []string{pageOf(0, 4, false), pageOf(4, 4, false), pageOf(8, 1, false)}, 9},
		"full page without a cursor": {2, []string{`{"data":[{"wa_id":"1"},{"wa_id":"2"}]}`}, 2},
		"limit lowered by the API":   {1000, []string{pageOf(0, 50, false), pageOf(50, 50, false), pageOf(100, 3, false)}, 103},
		"no limit":                   {0, []string{pageOf(0, 100, false), pageOf(100, 7, false)}, 107},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := walkOver(t, client.ListOptions{Limit: tt.limit}, tt.pages...)
			if err != nil || len(got) != tt.users {
				t.Errorf("%d users, %v", len(got), err)
			}
		})
	}
}

func TestListSendsCursors(t *testing.T) {
	t.Parallel()
	_, queries, err := walkOver(t, client.ListOptions{Limit: 2, After: "start"}, pageOf(0, 2, true), pageOf(2, 1, false))
	if err != nil {
		t.Fatal(err)
	}
	want := []url.Values{{"limit": {"2"}, "after": {"start"}}, {"limit": {"2"}, "after": {"c2"}}}
	if diff := cmp.Diff(want, queries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	back := func(first, n int, previous bool) string {
		s := pageOf(first, n, true) // its next must not matter on the way back
		if previous {
			s = strings.Replace(s, `"next"`, `"previous":"https://graph.example","next"`, 1)
		}
		return s
	}
	_, queries, err = walkOver(t, client.ListOptions{Limit: 3, Before: "c5"}, back(3, 2, true), back(2, 1, false))
	if err != nil {
		t.Fatal(err)
	}
	want = []url.Values{{"limit": {"3"}, "before": {"c5"}}, {"limit": {"3"}, "before": {"c3"}}}
	if diff := cmp.Diff(want, queries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestListChanged(t *testing.T) {
	t.Parallel()
	got, _, err := walkOver(t, client.ListOptions{Limit: 2}, pageOf(0, 2, true), refListChanged)
	if client.Classify(err).Remedy != client.RestartListing || len(got) != 2 {
		t.Errorf("%d users, %v", len(got), err)
	}
}

func TestListCanBeLeft(t *testing.T) {
	t.Parallel()
	requests := 0
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		_, _ = io.WriteString(w, pageOf(0, 2, true))
	})
	for range c.List(t.Context(), phoneNumberID, client.ListOptions{Limit: 2}) {
		break
	}
	if requests != 1 {
		t.Errorf("%d requests", requests)
	}
}
