package redislimit

import (
	"maps"
	"time"
)

// sweepFrom is the number of entries that a swept map may hold before it looks for useless ones.
const sweepFrom = 256

// swept is a map that drops its useless entries whenever it has doubled since it last did. So memory follows what is in
// use, though keys come and go for ever, without a goroutine and at little cost for each new key.
type swept[V any] struct {
	entries map[string]V
	useless func(v V, now time.Time) bool
	next    int // size at which to sweep again
}

func newSwept[V any](useless func(v V, now time.Time) bool) swept[V] {
	return swept[V]{entries: map[string]V{}, useless: useless, next: sweepFrom}
}

func (s *swept[V]) put(key string, v V, now time.Time) {
	if _, known := s.entries[key]; !known && len(s.entries) >= s.next {
		maps.DeleteFunc(s.entries, func(_ string, v V) bool { return s.useless(v, now) })
		s.next = max(2*len(s.entries), sweepFrom)
	}
	s.entries[key] = v
}
