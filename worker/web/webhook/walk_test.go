package webhook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/worker/web/webhook"
)

const phoneNumberID = "106540352242922"

// meta stands in front of each value.
const meta = `"messaging_product":"whatsapp","metadata":{"display_phone_number":"12025550100","phone_number_id":"` + phoneNumberID + `"}`

// envelope returns a body of one change.
func envelope(field, value string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"200000000000001","changes":[{"field":"` + field + `","value":{` + meta + `,` + value + `}}]}]}`
}

var at = time.Unix(1795600000, 0).UTC()

// said returns an event of the person that most fixtures name.
func said(kind webhook.Kind) webhook.Event {
	e := webhook.Event{PhoneNumberID: phoneNumberID, Kind: kind, WaID: "12025550101", UserID: "US.7001", At: at}
	if kind == webhook.Identity {
		e.At = time.Time{}
	}
	return e
}

const (
	who   = `"contacts":[{"profile":{"name":"Ana"},"wa_id":"12025550101","user_id":"US.7001"}]`
	wrote = `"from":"12025550101","from_user_id":"US.7001","id":"wamid.A1","timestamp":"1795600000"`
)

func one(typ string) string { return who + `,"messages":[{` + wrote + `,"type":"` + typ + `"}]` }

// fixture is a body as Meta's pages have it, and what it tells.
type fixture struct {
	field, value        string
	want                []webhook.Event
	ignored, unreadable int
}

func fixtures() map[string]fixture {
	message, weak, identity := said(webhook.Message), said(webhook.Weak), said(webhook.Identity)
	alone := webhook.Event{PhoneNumberID: phoneNumberID, Kind: webhook.Message, UserID: "US.7001", At: at}
	numberOnly := webhook.Event{PhoneNumberID: phoneNumberID, Kind: webhook.Message, WaID: "12025550101", At: at}
	second := webhook.Event{PhoneNumberID: phoneNumberID, Kind: webhook.Message, WaID: "12025550102", UserID: "US.7002", At: at.Add(time.Second)}
	group := message
	group.Kind = webhook.Identity
	fs := map[string]fixture{
		"text, number and BSUID": {field: "messages", value: one("text"), want: []webhook.Event{message}},
		"username, number hidden": {
			field: "messages", value: `"contacts":[{"profile":{"name":"Ana","username":"ana.k"},"user_id":"US.7001"}],"messages":[{"from_user_id":"US.7001","id":"w","timestamp":"1795600000","type":"text"}]`,
			want: []webhook.Event{alone},
		},
		"parent BSUID": {
			field: "messages", value: `"contacts":[{"user_id":"US.7001","parent_user_id":"US.ENT.9001"}],"messages":[{"from_user_id":"US.7001","from_parent_user_id":"US.ENT.9001","timestamp":"1795600000","type":"text"}]`,
			want: []webhook.Event{alone},
		},
		"without any user_id": {
			field: "messages", value: `"contacts":[{"wa_id":"12025550101"}],"messages":[{"from":"12025550101","timestamp":"1795600000","type":"text","text":{"body":"\u00e4 +16505551234"}}]`,
			want: []webhook.Event{numberOnly},
		},
		"three messages, contacts reversed": {
			field: "messages", value: `"contacts":[{"wa_id":"12025550102","user_id":"US.7002"},{"wa_id":"12025550101","user_id":"US.7001"}],"messages":[` +
				`{"from":"12025550101","timestamp":"1795600000","type":"text"},{"from_user_id":"US.7002","timestamp":1795600001,"type":"image"},{"from":"12025550101","from_user_id":"US.7001","timestamp":"1795600000","type":"audio"}]`,
			want: []webhook.Event{message, second, message},
		},
		"reaction":        {field: "messages", value: one("reaction"), want: []webhook.Event{weak}},
		"edit":            {field: "messages", value: one("edit"), want: []webhook.Event{weak}},
		"revoke":          {field: "messages", value: one("revoke"), want: []webhook.Event{weak}},
		"button":          {field: "messages", value: one("button"), want: []webhook.Event{message}},
		"interactive":     {field: "messages", value: one("interactive"), want: []webhook.Event{message}},
		"unsupported":     {field: "messages", value: one("unsupported"), want: []webhook.Event{message}},
		"request_welcome": {field: "messages", value: one("request_welcome"), want: []webhook.Event{identityAt(message)}},
		"group":           {field: "messages", value: who + `,"messages":[{` + wrote + `,"type":"text","group_id":"R3JwMQ"}]`, want: []webhook.Event{group}},
		"changed number": {
			field: "messages", value: `"messages":[{"from":"12025550101","id":"w","timestamp":"1795600000","type":"system","system":{"body":"x","type":"user_changed_number","wa_id":"12025550199","user_id":"US.7002","previous_user_id":"US.7001"}}]`,
			want: []webhook.Event{{PhoneNumberID: phoneNumberID, Kind: webhook.Change, WaID: "12025550199", UserID: "US.7002", PreviousWaID: "12025550101", PreviousUserID: "US.7001", At: at}},
		},
		"changed user ID": {
			field: "messages", value: `"messages":[{"id":"w","timestamp":"1795600000","type":"system","system":{"type":"user_changed_user_id","user_id":"US.7002","previous_user_id":"US.7001"}}]`,
			want: []webhook.Event{{PhoneNumberID: phoneNumberID, Kind: webhook.Change, UserID: "US.7002", PreviousUserID: "US.7001", At: at}},
		},
		"another system message": {field: "messages", value: `"messages":[{` + wrote + `,"type":"system","system":{"type":"customer_identity_changed"}}]`, ignored: 1},
		"statuses": {
			field: "messages", value: who + `,"statuses":[{"id":"w","status":"delivered","timestamp":"1795600000","recipient_id":"12025550101"},{"id":"w","status":"failed","errors":[{"code":131047}]}]`,
			want: []webhook.Event{identity}, ignored: 1,
		},
		"messages, statuses, and bad ones beside": {
			field: "messages", value: who + `,"messages":[null,7,{"from":[]},{` + wrote + `,"type":"text"}],"statuses":{"a":1}`,
			want: []webhook.Event{message}, unreadable: 4,
		},
		"errors only":     {field: "messages", value: `"errors":[{"code":130429}]`},
		"standby":         {field: "standby", value: `"standby":{` + one("text") + `}`, want: []webhook.Event{message}},
		"standby, flat":   {field: "standby", value: one("text"), want: []webhook.Event{message}},
		"standby echo":    {field: "standby", value: `"standby":{"message_echoes":[{"id":"w","timestamp":"1795600000","message":{}}]}`, ignored: 1},
		"standby nothing": {field: "standby", value: `"standby":{}`},
		"handover":        {field: "messaging_handovers", value: `"type":"control_taken"`, ignored: 1},
		"calls": {
			field: "calls", value: who + `,"calls":[{"id":"c","from":"12025550101","to":"1","event":"connect","timestamp":"1795600000","direction":"USER_INITIATED"},{"id":"c","direction":"BUSINESS_INITIATED","timestamp":"1795600000"}],"statuses":[{"type":"call"}]`,
			want: []webhook.Event{weak}, ignored: 2,
		},
		"history": {
			field: "history", value: `"history":[{"metadata":{"phase":0},"threads":[{"id":"12025550101","context":{"wa_id":"12025550101","user_id":"US.7001"},"messages":[{"from":"12025550101","timestamp":"1795600000"}]}]}]`,
			want: []webhook.Event{identity},
		},
		"echoes":           {field: "smb_message_echoes", value: `"message_echoes":[{"from":"12025550100","to":"12025550101","timestamp":"1795600000"}]`, ignored: 1},
		"app state":        {field: "smb_app_state_sync", value: `"state_sync":[]`, ignored: 1},
		"user preferences": {field: "user_preferences", value: `"user_preferences":[{"wa_id":"12025550101","timestamp":1795600000}]`, ignored: 1},
		"of the business":  {field: "messages", value: `"messages":[{"from":"12025550100","timestamp":"1795600000","type":"text"}]`, ignored: 1},
		"letters for a name": {
			field: "messages", value: `"messages":[{"from":"abc","timestamp":"1795600000","type":"text"}]`,
			want: []webhook.Event{{PhoneNumberID: phoneNumberID, Kind: webhook.Message, WaID: "abc", At: at}},
		},
		"no name": {field: "messages", value: `"messages":[{"timestamp":"1795600000","type":"text"}]`, unreadable: 1},
		"unknown fields": {
			field: "messages", value: `"x":{"y":[1]},` + who + `,"messages":[{"new":{},` + wrote + `,"type":"text"}]`,
			want: []webhook.Event{message},
		},
		"a field twice": {field: "messages", value: `"messages":[{"from":"1","from":"12025550101","timestamp":"1","timestamp":"1795600000","type":"text"}]`, want: []webhook.Event{numberOnly}},
	}
	for i, text := range []string{`""`, `"-5"`, `-5`, `"x"`, `null`, `[]`, `99999999999999999999`, `"253402300800000000"`} {
		e := numberOnly
		e.At = time.Time{}
		fs[fmt.Sprintf("timestamp %d", i)] = fixture{field: "messages", value: `"messages":[{"from":"12025550101","timestamp":` + text + `,"type":"text"}]`, want: []webhook.Event{e}}
	}
	return fs
}

// identityAt returns an event that opens nothing.
func identityAt(e webhook.Event) webhook.Event {
	e.Kind = webhook.Identity
	return e
}

func walk(body string) (events []webhook.Event, counts webhook.Counts, err error) {
	counts, err = webhook.Walk([]byte(body), func(e webhook.Event) { events = append(events, e) })
	return events, counts, err
}

func TestWalk(t *testing.T) {
	t.Parallel()
	for name, f := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, counts, err := walk(envelope(f.field, f.value))
			if diff := cmp.Diff(f.want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
			if counts != (webhook.Counts{Ignored: f.ignored, Unreadable: f.unreadable}) {
				t.Errorf("%+v", counts)
			}
		})
	}
}

// TestWalkTops: what is odd around the changes.
func TestWalkTops(t *testing.T) {
	t.Parallel()
	good := envelope("messages", one("text"))
	for body, n := range map[string]int{
		"": -1, "null": -1, "[]": -1, "7": -1, good[:len(good)/2]: -1, good + "x": -1,
		`{}`: 0, `{"object":"page","entry":[]}`: 0,
		`{"object":"whatsapp_business_account","entry":null}`:                         0,
		`{"object":"whatsapp_business_account","entry":[null,{"changes":[null,{}]}]}`: 0,
		`{"object":"whatsapp_business_account","entry":{"changes":[]}}`:               0,
		strings.Replace(good, `"entry":[`, `"entry":[null,{"changes":"x"},`, 1):       1,
		strings.Replace(good, `"whatsapp_business_account"`, `"instagram"`, 1):        0,
		strings.Replace(good, `"changes":[`, `"changes":[{"field":"messages"},`, 1):   1,
	} {
		got, _, err := walk(body)
		if (err != nil) != (n < 0) || len(got) != max(0, n) {
			t.Errorf("%.80s: %d events, %v", body, len(got), err)
		}
	}
}

// FuzzBodies holds the walk to its bounds: it never panics, tells only what names a person and a phone number ID, and
// the same again.
func FuzzBodies(f *testing.F) {
	for _, fx := range fixtures() {
		f.Add([]byte(envelope(fx.field, fx.value)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, counts, err := walk(string(body))
		for _, e := range first {
			if e.PhoneNumberID == "" || e.WaID == "" && e.UserID == "" || e.At.Year() > 40_000 {
				t.Fatalf("%+v", e)
			}
		}
		second, again, _ := walk(string(body))
		if !cmp.Equal(first, second) || counts != again || err != nil && len(first) > 0 {
			t.Fatal("another result the second time")
		}
	})
}
