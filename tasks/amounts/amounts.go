// Package amounts writes counts for people, for commands, pages and messages alike.
package amounts

import (
	"strconv"
	"strings"
)

// Thousands writes a count with its groups of digits apart: 64,000.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	var b strings.Builder
	for i, digit := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// Count writes a count of things, of which one names a single one: "1 user", "2,000 users", "2 dead entries".
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "entry") {
		return Thousands(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	}
	return Thousands(n) + " " + one + "s"
}
