package redistest

import (
	"os"
	"testing"
)

// Rounds returns how often a test repeats what it does: short in everyday runs, long where
// WABLOCK_TEST_LONG is set, as in CI. The log of the long form names the test.
func Rounds(t testing.TB, short, long int) int {
	t.Helper()
	if os.Getenv("WABLOCK_TEST_LONG") == "" {
		return short
	}
	t.Logf("long form: %d rounds, %d without WABLOCK_TEST_LONG", long, short)
	return long
}
