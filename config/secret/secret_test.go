package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wablock/wablock/config/secret"
)

func TestNoVerbShowsIt(t *testing.T) {
	t.Parallel()
	s := secret.New("hunter2")
	outer := struct {
		S     secret.String
		inner secret.String
	}{s, s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%p"} {
		for _, v := range []any{s, &s, outer, &outer, []secret.String{s}, map[secret.String]secret.String{s: s}, secret.Static(s)} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "hunter2") || strings.Contains(strings.ToLower(got), "68756e74657232") {
				t.Errorf("%s of %T shows %q", verb, v, got)
			}
		}
	}
	b, err := json.Marshal(outer)
	if err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("json: %s, %v", b, err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "outer", outer)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "outer", outer)
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("slog: %s", &log)
	}
	if s.Reveal() != "hunter2" || s.IsZero() || !s.Equal(secret.New("hunter2")) || s.Equal(secret.New("other")) {
		t.Error("it is not what it was made of")
	}
	if zero := secret.New(""); !zero.IsZero() || zero.Reveal() != "" || zero.String() != "" {
		t.Error("an empty text is no secret")
	}
}

func TestFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(" one\r\n")
	s, err := secret.File(path)
	if err != nil || s.Get().Reveal() != "one" {
		t.Fatalf("got %q, %v", s.Get().Reveal(), err)
	}
	for _, c := range []struct {
		text, want string
		changed    bool
		fails      bool
	}{
		{"one\n", "one", false, false},
		{"two", "two", true, false},
		{" \n", "two", false, true},
		{strings.Repeat("x", 64<<10+1), "two", false, true},
		{"two\nlines", "two", false, true},
		{"two words", "two", false, true},
		{"n\u00f6 token", "two", false, true},
		{"two\x00", "two", false, true},
		{"\uFEFFthree\r\n", "three", true, false},
	} {
		write(c.text)
		changed, err := s.Reload()
		if changed != c.changed || (err != nil) != c.fails || s.Get().Reveal() != c.want {
			t.Errorf("%.10q: changed %v, %v, now %q", c.text, changed, err, s.Get().Reveal())
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Reload(); changed || err == nil || s.Get().Reveal() != "three" {
		t.Errorf("without its file: %v, %v", changed, err)
	}
}

func TestStaticNeverChanges(t *testing.T) {
	t.Parallel()
	s := secret.Static(secret.New("one"))
	if changed, err := s.Reload(); changed || err != nil || s.Get().Reveal() != "one" {
		t.Errorf("changed %v, %v", changed, err)
	}
}
