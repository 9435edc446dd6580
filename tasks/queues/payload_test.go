package queues_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

func genUser(t *rapid.T) user.ID {
	text := rapid.OneOf(
		rapid.StringMatching(`\+[1-9][0-9]{6,14}`),
		rapid.StringMatching(`[A-Z]{2}\.[0-9]{1,120}`),
	).Draw(t, "user")
	id, err := user.FromCanonical(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return id
}

func genPayload(t *rapid.T) queues.Payload {
	parts := rapid.IntRange(1, 1<<17).Draw(t, "parts")
	return queues.Payload{
		JobID:         rapid.StringMatching(`[ -~äß€]{1,64}`).Draw(t, "job"),
		PhoneNumberID: rapid.StringMatching(`[0-9]{1,32}`).Draw(t, "number"),
		Operation:     rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Unblock}).Draw(t, "op"),
		Version:       ledger.Version(rapid.Int64Range(1, 1<<53).Draw(t, "version")),
		Users:         rapid.SliceOfN(rapid.Custom(genUser), 1, 40).Draw(t, "users"),
		Part:          rapid.IntRange(0, parts-1).Draw(t, "part"),
		Parts:         parts,
		Delayed:       rapid.Bool().Draw(t, "delayed"),
		RequestedAt:   time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).UTC(),
	}
}

func TestDecodeUndoesEncode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := genPayload(t)
		task, err := want.Task()
		if err != nil {
			t.Fatal(err)
		}
		got, err := queues.Decode(task.Type(), task.Payload())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compareIDs); diff != "" {
			t.Fatal(diff)
		}
	})
}

const goodPayload = `{"v":1,"job_id":"j","phone_number_id":"106","version":7,"part":0,"parts":1,` +
	`"requested_at":"2026-01-02T03:04:05Z","users":["+16505551234"]}`

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	many := `"users":["+16505551234"` + strings.Repeat(`,"+16505551234"`, 1000) + `]`
	with := func(old, replacement string) string {
		if !strings.Contains(goodPayload, old) {
			t.Fatalf("no %s in the payload", old)
		}
		return strings.Replace(goodPayload, old, replacement, 1)
	}
	for name, c := range map[string]struct{ payload, reason string }{
		"nothing":            {"", "empty"},
		"no JSON":            {"+16505551234", "no JSON"},
		"cut off":            {goodPayload[:60], "breaks off"},
		"a list":             {`["+16505551234"]`, "not an object"},
		"null":               {`null`, "no payload format"},
		"two values":         {goodPayload + goodPayload, "goes wrong"},
		"no format":          {with(`"v":1,`, ``), "no payload format"},
		"a newer format":     {with(`"v":1`, `"v":2`), "newer than this program's 1"},
		"newer, other shape": {with(`"v":1`, `"v":2,"version":"x"`), "newer than this program's 1"},
		"wrong type":         {with(`"version":7`, `"version":"+16505551234"`), "version has the wrong type"},
		"huge version":       {with(`"version":7`, `"version":16505551234165055512341650555`), "version has the wrong type"},
		"no version":         {with(`"version":7`, `"version":0`), "no version"},
		"version too high":   {with(`"version":7`, `"version":9007199254740993`), "out of range"},
		"no users":           {with(`["+16505551234"]`, `[]`), "no users"},
		"a bad user":         {with(`+16505551234`, `16505551234`), "user 1"},
		"too many users":     {with(`"users":["+16505551234"]`, many), "1001 users"},
		"part past the end":  {with(`"part":0`, `"part":1`), "part"},
		"no time":            {with(`2026-01-02T03:04:05Z`, `+16505551234`), "RFC 3339"},
		"bad number ID":      {with(`"106"`, `"106/../x"`), "digits alone"},
		"bad job ID":         {with(`"job_id":"j"`, `"job_id":"a\u0000b"`), "job ID"},
		"job ID is a number": {with(`"job_id":"j"`, `"job_id":"16505551234"`), "number of one of its users"},
		"huge":               {with(`"v":1`, `"x":"`+strings.Repeat("x", 1<<20)+`","v":1`), "KB, where 1024 is the most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := queues.Decode(queues.TypeBlock, []byte(c.payload))
			if !errors.Is(err, queues.ErrMalformed) || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("Decode: %v; want ErrMalformed with %q", err, c.reason)
			}
			if strings.Contains(err.Error(), "6505551234") {
				t.Fatalf("the error shows a number: %v", err)
			}
		})
	}
	if _, err := queues.Decode("email:send", []byte(goodPayload)); !errors.Is(err, queues.ErrMalformed) {
		t.Errorf("Decode of another type: %v", err)
	}
	if _, err := queues.Decode(queues.TypeBlock, []byte(with(`"v":1`, `"v":1,"since":{"a":[1]}`))); err != nil {
		t.Errorf("a field from the future: %v", err)
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	t.Parallel()
	good := queues.Payload{
		JobID: "j", PhoneNumberID: "1", Operation: ledger.Block, Version: 1, Users: nums(1), Parts: 1,
		RequestedAt: time.Unix(1, 0),
	}
	for name, spoil := range map[string]func(*queues.Payload){
		"operation": func(p *queues.Payload) { p.Operation = "list" },
		"job":       func(p *queues.Payload) { p.JobID = "a\x00b" },
		"number":    func(p *queues.Payload) { p.PhoneNumberID = "" },
		"users":     func(p *queues.Payload) { p.Users = nil },
		"many":      func(p *queues.Payload) { p.Users = nums(1001) },
		"zero user": func(p *queues.Payload) { p.Users = make([]user.ID, 1) },
		"parts":     func(p *queues.Payload) { p.Parts = 0 },
		"year":      func(p *queues.Payload) { p.RequestedAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		p := good
		spoil(&p)
		if b, err := p.Encode(); err == nil {
			t.Errorf("%s: encoded as %d bytes", name, len(b))
		}
	}
	if _, err := good.Encode(); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(queues.TypeBlock, []byte(goodPayload))
	f.Add(queues.TypeUnblock, []byte(`{"v":2}`))
	f.Add(queues.TypeBlock, []byte(`{"v":1,"users":[""]}`))
	f.Add("", []byte{0xff, 0})
	f.Fuzz(func(t *testing.T, typ string, payload []byte) {
		p, err := queues.Decode(typ, payload)
		if err != nil {
			if !errors.Is(err, queues.ErrMalformed) {
				t.Fatalf("no ErrMalformed: %v", err)
			}
			if s := err.Error(); user.Scrub(s) != s {
				t.Fatalf("the error holds what could be a number: %s", s)
			}
			return
		}
		task, err := p.Task()
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		again, err := queues.Decode(task.Type(), task.Payload())
		p.RequestedAt = p.RequestedAt.Truncate(time.Microsecond)
		if diff := cmp.Diff(p, again, compareIDs); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}

func TestResults(t *testing.T) {
	t.Parallel()
	r := queues.Result{Succeeded: 2, DeadLettered: 1, Codes: map[int]int{131047: 1}}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := queues.DecodeResult(b)
	if diff := cmp.Diff(r, got); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	got.Add(queues.Result{Superseded: 4, DeadLettered: 2, Codes: map[int]int{131047: 1, 100: 1}})
	want := queues.Result{Succeeded: 2, DeadLettered: 3, Superseded: 4, Codes: map[int]int{131047: 2, 100: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if _, err := queues.DecodeResult([]byte("+16505551234")); !errors.Is(err, queues.ErrMalformed) {
		t.Fatal(err)
	}
}

func benchPayload() queues.Payload {
	return queues.Payload{
		JobID: "abcdefghijklmnopabcdefgh", PhoneNumberID: phoneNumberID, Operation: ledger.Block, Version: 1_763_848_000_000_000,
		Users: nums(1000), Parts: 64, Part: 3, RequestedAt: time.Unix(1_763_848_000, 0),
	}
}

func BenchmarkEncode(b *testing.B) {
	p := benchPayload()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	p, err := benchPayload().Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := queues.Decode(queues.TypeBlock, p); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCheckPhoneNumberID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"1", phoneNumberID, strings.Repeat("9", 32)} {
		if err := queues.CheckPhoneNumberID(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"", "+16505551234", "1 2", "{1}", "١٢٣", strings.Repeat("9", 33)} {
		if err := queues.CheckPhoneNumberID(id); err == nil || id != "" && strings.Contains(fmt.Sprint(err), id) {
			t.Errorf("%q: %v", id, err)
		}
	}
}
