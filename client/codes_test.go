package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wablock/wablock/client"
)

func TestEveryCodeHasItsRemedy(t *testing.T) {
	t.Parallel()
	want := map[client.Remedy][]int{
		client.DeadLetter:       {131047, 131021, 100, 131008, 131009, 131062, 33},
		client.ListFull:         {139101},
		client.Retry:            {139103, 139100, 1, 2, 131000, 131016, 131057, 133004, 999999},
		client.RateLimit:        {130429, 613, 429},
		client.AccountRateLimit: {4, 17, 341, 80007, 80008},
		client.Halt:             {0, 3, 10, 102, 104, 190, 200, 250, 299, 368, 131005, 131031, 131045, 803},
		client.RestartListing:   {139102},
	}
	attempts := map[client.Remedy]bool{client.DeadLetter: true, client.ListFull: true, client.Retry: true}
	named := map[int]bool{client.NoCode: true}
	for remedy, codes := range want {
		for _, code := range codes {
			named[code] = true
			// Neither the status nor is_transient has a say where the code is known.
			for _, status := range []int{0, 200, 400, 401, 429, 500} {
				if code == 999999 && status > 400 {
					continue
				}
				r := client.Classify(fmt.Errorf("wrapped: %w", &client.APIError{Code: code, Meta: client.Meta{Status: status}}))
				if r.Remedy != remedy || r.UsesAttempt != attempts[remedy] {
					t.Errorf("%d with status %d: %+v", code, status, r)
				}
			}
		}
	}
	for _, r := range client.Rules() {
		if !named[r.Code] || r.Last != 0 && !named[r.Last] {
			t.Errorf("this test says nothing about %d to %d, %s", r.Code, max(r.Code, r.Last), r.Name)
		}
	}
}

func TestErrorsWithoutAKnownCode(t *testing.T) {
	t.Parallel()
	unknown := func(status int, transient bool) error {
		return &client.APIError{Code: 999999, IsTransient: transient, Meta: client.Meta{Status: status}}
	}
	noJSON := func(status int) error { return &client.ResponseError{Meta: client.Meta{Status: status}} }
	for name, tt := range map[string]struct {
		err     error
		remedy  client.Remedy
		attempt bool
		rule    string
	}{
		"400":                  {unknown(400, false), client.Retry, true, "unknown error"},
		"of a user":            {unknown(0, false), client.Retry, true, "unknown error"},
		"no code":              {&client.APIError{Code: client.NoCode}, client.Retry, true, "unknown error"},
		"transient":            {unknown(400, true), client.Retry, true, "transient error"},
		"transient before 429": {unknown(429, true), client.Retry, true, "transient error"},
		"429":                  {unknown(429, false), client.RateLimit, false, "too many requests"},
		"401":                  {unknown(401, false), client.Halt, false, "access refused"},
		"403":                  {unknown(403, false), client.Halt, false, "access refused"},
		"408":                  {unknown(408, false), client.Retry, true, "server error"},
		"503":                  {unknown(503, false), client.Retry, true, "server error"},
		"no JSON 200":          {noJSON(200), client.Retry, true, "unreadable answer"},
		"no JSON 302":          {noJSON(302), client.Retry, true, "unreadable answer"},
		"no JSON 404":          {noJSON(404), client.Retry, true, "unreadable answer"},
		"no JSON 429":          {noJSON(429), client.RateLimit, false, "too many requests"},
		"no JSON 401":          {noJSON(401), client.Halt, false, "access refused"},
		"no JSON 502":          {noJSON(502), client.Retry, true, "server error"},
		"foreign":              {errors.New("what"), client.Retry, true, "unknown error"},
		"foreign cancellation": {fmt.Errorf("wait: %w", context.Canceled), client.Retry, false, "canceled"},
		"foreign deadline":     {context.DeadlineExceeded, client.Retry, true, "unknown error"},
	} {
		r := client.Classify(tt.err)
		if r.Remedy != tt.remedy || r.UsesAttempt != tt.attempt || r.Name != tt.rule {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestSubcodePicksItsRow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code, subcode int
		want          client.Remedy
	}{{100, 0, client.DeadLetter}, {100, 2018001, client.DeadLetter}, {100, 33, client.Halt}, {190, 463, client.Halt}} {
		if r := client.Classify(&client.APIError{Code: tt.code, Subcode: tt.subcode}); r.Remedy != tt.want {
			t.Errorf("%d/%d: %v", tt.code, tt.subcode, r.Remedy)
		}
	}
}

func TestTableIsWellFormed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range client.Rules() {
		key := fmt.Sprintf("%d/%d", r.Code, r.Subcode)
		if r.Code != client.NoCode && seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if r.Name == "" || r.Name != strings.ToLower(r.Name[:1])+r.Name[1:] || !strings.HasSuffix(r.Help, ".") {
			t.Errorf("%s: name %q, help %q", key, r.Name, r.Help)
		}
		if r.Last != 0 && r.Last <= r.Code {
			t.Errorf("%s: its range ends at %d", key, r.Last)
		}
		if r.Remedy.String() == "undefined" || r.Scope.String() == "undefined" {
			t.Errorf("%s: nameless remedy or scope", key)
		}
	}
}

func TestRulesIsACopy(t *testing.T) {
	t.Parallel()
	client.Rules()[0].Name = "changed"
	if client.Rules()[0].Name == "changed" {
		t.Error("a caller can change the table")
	}
}
