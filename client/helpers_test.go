package client_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/user"
)

const (
	phoneNumberID = "106540352242922"
	token         = "EAAJBsecretToken42"
)

// ids returns the IDs of canonical names.
func ids(t testing.TB, names ...string) []user.ID {
	t.Helper()
	out := make([]user.ID, len(names))
	for i, name := range names {
		id, err := user.FromCanonical(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		out[i] = id
	}
	return out
}

// many returns n IDs of phone numbers.
func many(t testing.TB, n int) []user.ID {
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("+1650555%04d", i)
	}
	return ids(t, names...)
}

// newClient returns a Client of a server that h answers for, under a path of its own.
func newClient(t testing.TB, h http.HandlerFunc, opts ...client.Option) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL+"/graph/", "v25.0", secret.Static(secret.New(token)), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reply answers every request alike.
func reply(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// listOf writes entries of a success list for users.
func listOf(users []user.ID) string {
	entries := make([]string, len(users))
	for i, id := range users {
		entries[i] = fmt.Sprintf(`{"input":%q,"wa_id":%q}`, id.Reveal(), id.Reveal()[1:])
	}
	return "[" + strings.Join(entries, ",") + "]"
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
