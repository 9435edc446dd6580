package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/redistest"
)

type heardAnswer struct {
	Accepted, Revived int
	TooOld            int `json:"too_old"`
	Rejected          []struct {
		Line   int
		Reason string
	}
}

// TestHeard: users of dead letters 131047 are asked for again, and status says so.
func TestHeard(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		kill(t, rdb, 4) // 0 and 2 with 131047
		f := setup(t, rdb)
		before := value[struct{ Users []map[string]any }](t, f.post("/v1/status", users(num(0)))).Users[0]
		if before["state"] != "dead_lettered" || before["last_heard_at"] != nil {
			t.Errorf("before: %v", before)
		}
		now := time.Now().UTC()
		body := fmt.Sprintf(`{"events":[{"wa_id":%q,"at":%q},{"user":%q,"at":%d},{"user":%q,"at":"%d"},{"user":%q,"user_id":"US.1","at":%[2]q}]}`,
			num(0)[1:], now.Format(time.RFC3339Nano), num(1), now.Unix(), num(2), now.Unix(), num(7))
		for i, revived := range []int{2, 0} {
			r := f.post("/v1/heard", body)
			got := value[heardAnswer](t, r)
			if r.status != http.StatusAccepted || got.Accepted != 4 || got.Revived != revived || len(got.Rejected) > 0 {
				t.Errorf("time %d: %d %s", i+1, r.status, r.body)
			}
		}
		for n, state := range []string{"pending", "dead_lettered", "pending", "dead_lettered"} {
			got := value[struct{ Users []map[string]any }](t, f.post("/v1/status", users(num(n)))).Users[0]
			if got["state"] != state || n < 3 && (got["last_heard_at"] == nil || got["window_until"] == nil) {
				t.Errorf("user %d: %v", n, got)
			}
		}
		f.problem(f.post("/v1/heard", body, "Authorization: Bearer "+reader), http.StatusForbidden, "forbidden")
	})
}

// TestHeardRefuses: what is malformed as a whole, and what is rejected event by event.
func TestHeardRefuses(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	for name, tt := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"none":                {`{"events":[]}`, http.StatusUnprocessableEntity, "no-events"},
		"left out":            {`{}`, http.StatusUnprocessableEntity, "no-events"},
		"not a list":          {`{"events":{}}`, http.StatusBadRequest, "malformed-body"},
		"not objects":         {`{"events":[1]}`, http.StatusBadRequest, "malformed-body"},
		"an unknown field":    {`{"events":[{"text":"x"}]}`, http.StatusBadRequest, "unknown-field"},
		"a field twice":       {`{"events":[{"user":"+16505550001","user":"+16505550002"}]}`, http.StatusBadRequest, "malformed-body"},
		"a time of two":       {`{"events":[{"at":[1]}]}`, http.StatusBadRequest, "malformed-body"},
		"too many":            {`{"events":[` + strings.Repeat(`{},`, 1000) + `{}]}`, http.StatusRequestEntityTooLarge, "too-many-events"},
		"too large":           {`{"events":[{"user":"` + strings.Repeat("x", 600<<10) + `"}]}`, http.StatusRequestEntityTooLarge, "body-too-large"},
		"a phone number ID":   {`{"phone_number_id":"x","events":[{}]}`, http.StatusUnprocessableEntity, "invalid-phone-number-id"},
		"another field":       {`{"events":[],"force":true}`, http.StatusBadRequest, "unknown-field"},
		"cut off":             {`{"events":[{"user":"+16505`, http.StatusBadRequest, "malformed-body"},
		"a number as a field": {`{"events":[{"+16505550001":1}]}`, http.StatusBadRequest, "unknown-field"},
	} {
		t.Run(name, func(t *testing.T) {
			f.problem(f.post("/v1/heard", tt.body), tt.status, tt.code)
		})
	}
	now := time.Now().Format(time.RFC3339)
	got := value[heardAnswer](t, f.post("/v1/heard", `{"events":[
		{"user":"+16505550001"}, {"user":"+16505550001","at":""}, {"user":"+16505550001","at":"soon"}, {"user":"+16505550001","at":-5},
		{"user":"+16505550001","at":99999999999999999999}, {"user":"+16505550001","at":"9999-01-01T00:00:00Z"}, {"at":"`+now+`"},
		{"wa_id":"1650x","at":"`+now+`"}, {"user":"+16505550001","at":1}, {"user":"+16505550001","at":"`+now+`"}]}`))
	if got.Accepted != 2 || got.TooOld != 1 || len(got.Rejected) != 8 {
		t.Fatalf("%+v", got)
	}
	for i, r := range got.Rejected {
		if r.Line != i+1 || r.Reason == "" || fullNumber.MatchString(r.Reason) {
			t.Errorf("event %d: %+v", i+1, r)
		}
	}
}
