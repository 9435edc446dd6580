package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/wablock/wablock/client/simulator"
)

// phone is the phone number ID that tests use.
const phone = "106540352242922"

// rig is a simulator and a way to call it without a network.
type rig struct {
	*simulator.Simulator
	t *testing.T
}

func setup(t *testing.T, sc simulator.Scenario) rig {
	t.Helper()
	return setupConfig(t, simulator.Config{Scenario: sc})
}

func setupConfig(t *testing.T, cfg simulator.Config) rig {
	t.Helper()
	s, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return rig{s, t}
}

// reply is an answer, decoded as far as tests look at it.
type reply struct {
	Status int         `json:"-"`
	Header http.Header `json:"-"`
	Raw    string      `json:"-"`
	Users  struct {
		Added   []replyUser `json:"added_users"`
		Removed []replyUser `json:"removed_users"`
		Failed  []replyUser `json:"failed_users"`
	} `json:"block_users"`
	Error struct {
		Code    int    `json:"code"`
		Subcode int    `json:"error_subcode"`
		Message string `json:"message"`
		Data    struct {
			Details string `json:"details"`
		} `json:"error_data"`
		Trace string `json:"fbtrace_id"`
	} `json:"error"`
	Data []struct {
		WaID         string `json:"wa_id"`
		UserID       string `json:"user_id"`
		ParentUserID string `json:"parent_user_id"`
	} `json:"data"`
	Paging struct {
		Cursors        struct{ After, Before string }
		Next, Previous string
	} `json:"paging"`
}

type replyUser struct {
	Input  string
	WaID   string `json:"wa_id"`
	UserID string `json:"user_id"`
	Errors []struct {
		Code int
		Data struct{ Details string } `json:"error_data"`
	}
}

func (u replyUser) code() int {
	if len(u.Errors) != 1 {
		return -1
	}
	return u.Errors[0].Code
}

func (r reply) waIDs() []string {
	var ids []string
	for _, d := range r.Data {
		ids = append(ids, d.WaID+d.UserID)
	}
	return ids
}

func (g rig) do(req *http.Request) reply {
	g.t.Helper()
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, req)
	return decode(g.t, rec.Result())
}

func decode(t *testing.T, res *http.Response) reply {
	t.Helper()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := reply{Status: res.StatusCode, Header: res.Header, Raw: string(raw)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") && json.Valid(raw) {
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
	}
	return r
}

func request(method, path, body string) *http.Request {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer EAAtest")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// body is that of a block or unblock call; what has a letter in front is a BSUID.
func body(users ...string) string {
	entries := []map[string]string{}
	for _, u := range users {
		field := "user"
		if len(u) > 2 && u[2] == '.' {
			field = "user_id"
		}
		entries = append(entries, map[string]string{field: u})
	}
	b, err := json.Marshal(map[string]any{"messaging_product": "whatsapp", "block_users": entries})
	if err != nil {
		panic(err) // strings marshal
	}
	return string(b)
}

func (g rig) block(users ...string) reply {
	g.t.Helper()
	return g.do(request(http.MethodPost, "/v25.0/"+phone+"/block_users", body(users...)))
}

func (g rig) unblock(users ...string) reply {
	g.t.Helper()
	return g.do(request(http.MethodDelete, "/v25.0/"+phone+"/block_users", body(users...)))
}

func (g rig) list(query string) reply {
	g.t.Helper()
	return g.do(request(http.MethodGet, "/v25.0/"+phone+"/block_users"+query, ""))
}

func (g rig) control(method, path, body string) reply {
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, httptest.NewRequest(method, "/_simulator"+path, strings.NewReader(body)))
	return reply{Status: rec.Code, Raw: rec.Body.String()}
}

// failures are the codes of failed users by input.
func (r reply) failures() map[string]int {
	m := map[string]int{}
	for _, u := range r.Users.Failed {
		m[u.Input] = u.code()
	}
	return m
}

// users makes n numbers.
func users(n int) []string {
	us := make([]string, n)
	for i := range us {
		us[i] = fmt.Sprintf("+1650%07d", i)
	}
	return us
}

func digits(us []string) []string {
	ds := slices.Clone(us)
	for i := range ds {
		ds[i] = strings.TrimPrefix(ds[i], "+")
	}
	return ds
}

func (g rig) want(r reply, status, code int) {
	g.t.Helper()
	if r.Status != status || r.Error.Code != code {
		g.t.Fatalf("status %d, code %d, want %d, %d: %s", r.Status, r.Error.Code, status, code, r.Raw)
	}
}

// raw is the text of an answer, for what reply does not decode.
func (g rig) raw(req *http.Request) string {
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, req)
	return rec.Body.String()
}
