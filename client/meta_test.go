package client_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	const date = "Thu, 21 May 2026 10:00:00 GMT"
	business := `{"102290129340398":[{"type":"whatsapp_business_management","call_count":28,"total_cputime":25,"total_time":31.7,"estimated_time_to_regain_access":0},
		{"type":"whatsapp","call_count":96,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":12}],"101":[{"call_count":3}]}`
	for name, tt := range map[string]struct {
		header []string
		want   client.Meta
	}{
		"none":            {nil, client.Meta{}},
		"seconds":         {[]string{"Retry-After", "60"}, client.Meta{RetryAfter: time.Minute}},
		"spaced fraction": {[]string{"Retry-After", " 1.5 "}, client.Meta{RetryAfter: 1500 * time.Millisecond}},
		"date":            {[]string{"Retry-After", "Thu, 21 May 2026 10:02:00 GMT", "Date", date}, client.Meta{RetryAfter: 2 * time.Minute}},
		"past date":       {[]string{"Retry-After", "Thu, 21 May 2026 09:00:00 GMT", "Date", date}, client.Meta{}},
		"far date":        {[]string{"Retry-After", "Thu, 21 May 2099 09:00:00 GMT", "Date", date}, client.Meta{RetryAfter: 24 * time.Hour}},
		"negative":        {[]string{"Retry-After", "-5"}, client.Meta{}},
		"endless":         {[]string{"Retry-After", "1e300"}, client.Meta{RetryAfter: 24 * time.Hour}},
		"infinite":        {[]string{"Retry-After", "Inf"}, client.Meta{RetryAfter: 24 * time.Hour}},
		"not a number":    {[]string{"Retry-After", "NaN"}, client.Meta{}},
		"no time":         {[]string{"Retry-After", "soon"}, client.Meta{}},
		"business": {[]string{"X-Business-Use-Case-Usage", business}, client.Meta{
			Usage: client.Usage{Business: 96, RegainAccess: 12 * time.Minute, Accounts: []string{"101", "102290129340398"}},
		}},
		"app":        {[]string{"X-App-Usage", `{"call_count":10,"total_cputime":80,"total_time":20}`}, client.Meta{Usage: client.Usage{App: 80}}},
		"odd values": {[]string{"X-App-Usage", `{"call_count":-3,"total_cputime":1e300}`}, client.Meta{Usage: client.Usage{App: 1000}}},
		"no JSON":    {[]string{"X-App-Usage", "much", "X-Business-Use-Case-Usage", `["a"]`}, client.Meta{}},
		"no account": {[]string{"X-Business-Use-Case-Usage", `{"../me":[{"call_count":5}]}`}, client.Meta{Usage: client.Usage{Business: 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.want.Status = 200
			c := newClient(t, reply(200, `{"data":[]}`, tt.header...))
			page, err := c.ListPage(t.Context(), phoneNumberID, client.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, page.Meta); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := page.Meta.Usage.Percent(); got != max(tt.want.Usage.App, tt.want.Usage.Business) {
				t.Errorf("percent %d", got)
			}
		})
	}
}

func TestMetaOfErrors(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"API": refError, "unreadable": "<html>", "empty": ""} {
		c := newClient(t, reply(503, body, "Retry-After", "9", "X-App-Usage", `{"call_count":99}`))
		_, err := c.Block(t.Context(), phoneNumberID, many(t, 1))
		m := client.MetaOf(err)
		if m.Status != 503 || m.RetryAfter != 9*time.Second || m.Usage.App != 99 {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if diff := cmp.Diff(client.Meta{}, client.MetaOf(client.ErrInvalidRequest)); diff != "" {
		t.Error(diff)
	}
}
