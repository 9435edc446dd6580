package amounts_test

import (
	"testing"

	"github.com/wablock/wablock/tasks/amounts"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{
		0: "0 users", 1: "1 user", 2: "2 users", 999: "999 users", 1000: "1,000 users", 64_000: "64,000 users",
		1_234_567: "1,234,567 users", -100: "-100 users", -1000: "-1,000 users",
	} {
		if got := amounts.Count(n, "user"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := amounts.Count(2, "entry"); got != "2 entries" {
		t.Errorf("%q", got)
	}
}
