package web

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

func TestMaskBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"empty":              {"", ""},
		"text":               {"hello", "hello"},
		"number":             {"+16505551234", "…"},
		"number in text":     {"call 1 (650) 555-1234 now", "call … now"},
		"BSUID":              {"for US.13491208655302741918", "for …"},
		"no-break spaces":    {"+1\u00a0650\u00a0555\u00a01234", "…"},
		"typographic dashes": {"+1\u2011650\u2013555\u20131234", "…"},
		"direction marks":    {"\u202a+1650\u200e5551234\u202c", "…"},
		"wide separators":    {"1 - 650 - 555 - 1234", "…"},
		"wide brackets":      {"+1[650]555[1234]", "…." /* the last bracket */},
		"other digits":       {"١٦٥٠٥٥٥١٢٣٤", "…"},
		"short numbers stay": {"error 131047 in 3 of 1000", "error 131047 in 3 of 1000"},
		"JSON":               {`{"a":"x","n":12,"t":true,"z":null}`, `{"a":"x","n":12,"t":true,"z":null}`},
		"JSON number":        {`{"n":16505551234}`, `{"n":"…"}`},
		"JSON exponent":      {`[1.6505551234e10,16505e6,1e3]`, `["…","…",1e3]`},
		"JSON escapes":       {`["\u002b\u0031\u0036505551234"]`, `["…"]`},
		"JSON keys":          {`{"16505551234":1}`, `{"…":1}`},
		"JSON in depth":      {`[[{"a":["+16505551234"]}]]`, `[[{"a":["…"]}]]`},
		"two JSON values":    {`{"n":16505551234} 1`, `{"n":…} 1`},
		"JSON of HTML":       {`"<b>"`, `"<b>"`},
		"binary":             {"\x00\x01\xff", "3 bytes"},
		"UTF-16":             {"1\x006\x005\x000\x00", "8 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, maskBytes([]byte(c.in))); diff != "" {
				t.Errorf("maskBytes(%q) (-want +got):\n%s", c.in, diff)
			}
		})
	}
}

func TestMaskBytesIsBounded(t *testing.T) {
	t.Parallel()
	long := maskBytes([]byte(strings.Repeat("é", 5000)))
	if len(long) > maxShown+40 || !strings.HasSuffix(long, "… (10000 bytes)") || strings.Contains(long, "\uFFFD") {
		t.Errorf("a long text becomes %d bytes that end in %q", len(long), long[len(long)-30:])
	}
	if got := maskBytes(make([]byte, 10<<20)); got != "10485760 bytes" {
		t.Errorf("10 MiB become %q", got)
	}
}

func TestShowPayload(t *testing.T) {
	t.Parallel()
	users := make([]user.ID, 0, 1000)
	for i := range 1000 {
		id, err := user.FromCanonical("+1650555" + string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10)) + "9")
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, id)
	}
	p := queues.Payload{
		JobID: "spring-clean-2026-11-22", PhoneNumberID: "106540352242922", Operation: ledger.Block, Version: 1763848800123456,
		Users: users, Part: 1, Parts: 3, RequestedAt: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
	}
	job, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ typ, in, want string }{
		"job": {
			queues.TypeBlock, string(job),
			`{"job_id":"spring-clean-2026-11-22","phone_number_id":"106540352242922","operation":"block","users":1000,` +
				`"first":["+165…09","+165…19","+165…29","…"],"part":"2 of 3","version":1763848800123456,"requested_at":"2026-11-22T10:00:00Z"}`,
		},
		"job that can't be read": {queues.TypeBlock, `{"users":["+16505551234"]}`, `{"users":["…"]}`},
		"dead letter": {
			queues.TypeDeadLetter,
			`{"v":1,"user":"+16505551234","phone_number_id":"106540352242922","operation":"block","code":131047,` +
				`"message":"Re-engagement message","details":"16505551234 must write first","attempts":2,"version":1763848800123456,` +
				`"first_failed_at":"2026-11-22T10:00:00Z","last_failed_at":"2026-11-22T10:05:00Z"}`,
			`{"user":"+165…34","operation":"block","code":131047,"message":"Re-engagement message","details":"… must write first",` +
				`"attempts":2,"phone_number_id":"106540352242922","first_failed_at":"2026-11-22T10:00:00Z","last_failed_at":"2026-11-22T10:05:00Z"}`,
		},
		"malformed task": {
			queues.TypeDeadLetter,
			`{"v":1,"malformed":{"reason":"no JSON","task_type":"t","queue":"bulk","task_id":"+16505551234","payload":"KzE2NTA1NTUxMjM0IQ==","payload_size":13}}`,
			`{"malformed":{"reason":"no JSON","task_type":"t","queue":"bulk","task_id":"…","payload_size":13,"payload":"…!"}}`,
		},
		"dead letter without a user": {
			queues.TypeDeadLetter, `{"v":1,"user":"call 16505551234"}`,
			`{"malformed":{"reason":"malformed task: user: neither a phone number nor a business-scoped user ID","task_type":"block_users:dead_letter",` +
				`"queue":"dead-letter","payload_size":33,"payload":"{\"user\":\"call …\",\"v\":1}"}}`,
		},
		"foreign": {"email", `{"to":"+16505551234"}`, `{"to":"…"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, showPayload(c.typ, []byte(c.in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMaskName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                                     "",
		"pending":                              "pending",
		"dead-letter":                          "dead-letter",
		"kfjabcdeponmlkjihgfedcba:12":          "kfjabcdeponmlkjihgfedcba:12",
		"1f0c41f4-2345-4678-9012-123456789012": "1f0c41f4-2345-4678-9012-123456789012",
		"1f0c41f4-2345-4678-9012-123456789012:17":          "1f0c41f4-2345-4678-9012-123456789012:17",
		"106540352242922:abcdefghijklmnopabcdefghijklmnop": "106540352242922:abcdefghijklmnopabcdefghijklmnop",
		"import-20261122:4":                                "import-20261122:4",
		"import-2026-11-22:4":                              "import-2026-11-22:4",
		"16505551234":                                      "…",
		"+16505551234":                                     "…",
		"block-16505551234":                                "block-…",
		"1-650-555-1234":                                   "…",
		"US.13491208655302741918":                          "…",
		"a/16505551234":                                    "a/…",
		"20261122123":                                      "…",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := maskName(name); got != want {
				t.Errorf("maskName(%q) = %q; want %q", name, got, want)
			}
		})
	}
}

// Whatever is written around a number and however it is spaced, it never shows.
func TestNumbersNeverShow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`[1-9][0-9]{9,14}`).Draw(t, "number")
		spaced := spread(t, digits)
		before := rapid.StringOf(rapid.RuneFrom([]rune(`ab "{}[]:,\+-.()<>é`+"\n\t"))).Draw(t, "before")
		after := rapid.StringOf(rapid.RuneFrom([]rune(`ab "{}[]:,\-.()<>é`+"\n\t"))).Draw(t, "after")
		text := before + spaced + after
		for name, shown := range map[string]string{
			"text": maskText(text), "bytes": maskBytes([]byte(text)), "name": maskName(text), "path": maskPath(text),
			"JSON": maskBytes([]byte(encodeJSON(map[string]any{"a": []any{text}}))),
			"type": showPayload(queues.TypeBlock, []byte(text)),
			"dead": showPayload(queues.TypeDeadLetter, []byte(encodeJSON(map[string]any{"user": text, "message": text}))),
		} {
			if strings.Contains(onlyDigits(shown), digits) {
				t.Fatalf("%s: %q shows %s", name, shown, digits)
			}
		}
	})
}

// spread writes a number as people and programs do.
func spread(t *rapid.T, digits string) string {
	gaps := []string{"", "", "", " ", "-", ".", " (", ") ", "\u00a0", "\u2011", "\u202f", "\u200e", " - "}
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 {
			b.WriteString(rapid.SampledFrom(gaps).Draw(t, "gap"))
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

func FuzzShowPayload(f *testing.F) {
	f.Add(queues.TypeBlock, []byte(`{"v":1,"users":["+16505551234"]}`))
	f.Add(queues.TypeDeadLetter, []byte(`{"user":"+16505551234","malformed":{"payload":"KzE2"}}`))
	f.Add("email", []byte("\xff16505551234"))
	f.Add("email", []byte(`{"a":1.6505551234E10}`))
	f.Add("email", []byte("A16505 !551234 "))
	f.Fuzz(func(t *testing.T, typ string, payload []byte) {
		// No seed has this number: the fuzzer would cut one that it knows into pieces, which are shown.
		shown := showPayload(typ, append(payload, "\n+4915798103462"...))
		if strings.Contains(onlyDigits(shown), "4915798103462") {
			t.Errorf("%q shows the number", shown)
		}
		if len(shown) > 64<<10 {
			t.Errorf("%d bytes are shown", len(shown))
		}
	})
}
