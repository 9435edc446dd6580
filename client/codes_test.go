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
		client.DeadLetter:       {131047, 131021, 100, 131008, 131009, 33},
		client.ListFull:         {139101},
		client.Retry:            {139103, 139100, 1, 2, 131000, 131016, 131057, 133004, 999999},
		client.RateLimit:        {130429, 613, 429},
		client.AccountRateLimit: {4, 17, 341, 80007, 80008},
		client.Halt:             {0, 3, 10, 102, 104, 190, 200, 250, 299, 368, 131005, 131031, 131045},
		client.RestartListing:   {139102},
	}
	attempts := map[client.Remedy]bool{client.DeadLetter: true, client.ListFull: true, client.Retry: true}
	split := map[int]bool{100: true, 131008: true, 131009: true, 131021: true, 131047: true, 139101: true}
	outage := map[int]bool{1: true, 2: true, 131000: true, 131016: true, 131057: true, 133004: true}
	for remedy, codes := range want {
		for _, code := range codes {
			// Neither the status nor is_transient has a say where the code is known.
			for _, status := range []int{0, 200, 400, 401, 429, 500} {
				if code == 999999 && status > 400 {
					continue
				}
				r := client.Classify(fmt.Errorf("wrapped: %w", &client.APIError{Code: code, Meta: client.Meta{Status: status}}))
				if r.Remedy != remedy || r.UsesAttempt != attempts[remedy] || r.SplitCall != split[code] || r.Outage != outage[code] {
					t.Errorf("%d with status %d: %+v", code, status, r)
				}
			}
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
		outage  bool
	}{
		"400":                  {unknown(400, false), client.Retry, true, false},
		"of a user":            {unknown(0, false), client.Retry, true, false},
		"no code":              {&client.APIError{Code: client.NoCode}, client.Retry, true, false},
		"transient":            {unknown(400, true), client.Retry, true, true},
		"transient before 429": {unknown(429, true), client.Retry, true, true},
		"429":                  {unknown(429, false), client.RateLimit, false, false},
		"401":                  {unknown(401, false), client.Halt, false, false},
		"403":                  {unknown(403, false), client.Halt, false, false},
		"408":                  {unknown(408, false), client.Retry, true, true},
		"503":                  {unknown(503, false), client.Retry, true, true},
		"no JSON 200":          {noJSON(200), client.Retry, true, true},
		"no JSON 302":          {noJSON(302), client.Retry, true, true},
		"no JSON 404":          {noJSON(404), client.Retry, true, true},
		"no JSON 429":          {noJSON(429), client.RateLimit, false, false},
		"no JSON 401":          {noJSON(401), client.Halt, false, false},
		"no JSON 502":          {noJSON(502), client.Retry, true, true},
		"foreign":              {errors.New("what"), client.Retry, true, false},
		"foreign deadline":     {context.DeadlineExceeded, client.Retry, true, false},
	} {
		r := client.Classify(tt.err)
		if r.Remedy != tt.remedy || r.UsesAttempt != tt.attempt || r.Outage != tt.outage {
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
		if r.SplitCall && !r.UsesAttempt || r.Outage && r.Remedy != client.Retry {
			t.Errorf("%s contradicts itself: %+v", key, r)
		}
		if r.Remedy.String() == "" || r.Scope.String() == "" {
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
