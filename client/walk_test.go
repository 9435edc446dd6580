package client_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wablock/wablock/client"
)

func TestWalkIsBounded(t *testing.T) {
	t.Parallel()
	entries := func(n int) []client.Entry { return make([]client.Entry, n) }
	for name, tt := range map[string]struct {
		page func(i int) *client.Page
		want string
		most int // pages
	}{
		"one cursor": {func(int) *client.Page {
			return &client.Page{Entries: entries(10), After: "same", HasNext: true}
		}, "in a circle", 2},
		"two cursors": {func(i int) *client.Page {
			return &client.Page{Entries: entries(10), After: fmt.Sprint(i % 2), HasNext: true}
		}, "in a circle", 3},
		"cursors ignored": {func(int) *client.Page {
			return &client.Page{Entries: entries(10), After: "end"}
		}, "in a circle", 2},
		"empty for ever": {func(i int) *client.Page {
			return &client.Page{After: fmt.Sprint(i), HasNext: true}
		}, "does not end", 101},
		"full for ever": {func(i int) *client.Page {
			return &client.Page{Entries: entries(10), After: fmt.Sprint(i)}
		}, "does not end", 12_801},
		"next without cursor": {func(int) *client.Page {
			return &client.Page{Entries: entries(10), HasNext: true}
		}, "without a cursor", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := client.NewWalk(client.ListOptions{Limit: 10})
			for i := range tt.most {
				_, done, err := w.Next(tt.page(i))
				if done {
					t.Fatalf("page %d ended the walk", i)
				}
				if err != nil {
					if !strings.Contains(err.Error(), tt.want) || i != tt.most-1 {
						t.Errorf("page %d: %v", i, err)
					}
					return
				}
			}
			t.Errorf("no error after %d pages", tt.most)
		})
	}
}

// TestWalkFindsEveryUser lets a server cut a list into pages as it likes: whatever the sizes,
// and whether or not it names a next page, no user is missed.
func TestWalkFindsEveryUser(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.IntRange(0, 400).Draw(t, "users")
		limit := rapid.IntRange(1, 120).Draw(t, "limit")
		names := rapid.Bool().Draw(t, "names next")
		cap := rapid.SampledFrom([]int{25, 50, 100, 1000}).Draw(t, "cap")
		at, found := 0, 0
		w := client.NewWalk(client.ListOptions{Limit: limit})
		for i, done := 0, false; !done; i++ {
			n := min(limit, cap, users-at)
			if names { // pages may then be short or empty
				n = rapid.IntRange(0, n).Draw(t, "page")
			}
			at, found = at+n, found+n
			var err error
			_, done, err = w.Next(&client.Page{
				Entries: make([]client.Entry, n),
				After:   fmt.Sprint(at, "/", i),
				HasNext: names && at < users,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if found != users {
			t.Fatalf("found %d of %d", found, users)
		}
	})
}
