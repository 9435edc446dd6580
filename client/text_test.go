package client_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/wablock/wablock/client"
)

func TestTextsOfTheAPIAreTamed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	for name, tt := range map[string]struct{ in, want string }{
		"plain":           {"User has not messaged in the last 24 hours", "User has not messaged in the last 24 hours"},
		"number":          {"no +16505551234 here", "no … here"},
		"grouped number":  {"no +1 (650) 555-1234", "no …"},
		"line by line":    {"a\r\n\x1b[31mb\x00", "a   [31mb"},
		"number on lines": {"+1650\n5551234", "…"},
		"long":            {long, long[:512] + "…"},
		"number at cut":   {strings.Repeat("x", 505) + "16505551234", strings.Repeat("x", 505) + "…"},
		"digits at cut":   {strings.Repeat("1", 2045) + " 16505551234", "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message, err := json.Marshal(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, reply(400, `{"error":{"code":1,"message":`+string(message)+`}}`))
			_, err = c.Block(t.Context(), phoneNumberID, many(t, 1))
			e, ok := errors.AsType[*client.APIError](err)
			if !ok || e.Message != tt.want {
				t.Errorf("got %q", err)
			}
		})
	}
}

func TestDetailsFromEitherField(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`"error_data":{"details":"a"},"error_user_msg":"b"`: "a",
		`"error_data":"a"`:                      "a",
		`"error_data":{},"error_user_msg":"b"`:  "b",
		`"error_data":{"details":7}`:            "",
		`"error_data":[],"error_user_msg":null`: "",
	} {
		c := newClient(t, reply(400, `{"error":{"code":1,`+body+`}}`))
		_, err := c.Block(t.Context(), phoneNumberID, many(t, 1))
		if e, ok := errors.AsType[*client.APIError](err); !ok || e.Details != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestStrangeConstantsHaveNames(t *testing.T) {
	t.Parallel()
	for _, s := range []string{client.Remedy(99).String(), client.Scope(-1).String(), client.OutcomeState(99).String()} {
		if s != "undefined" {
			t.Error(s)
		}
	}
}
