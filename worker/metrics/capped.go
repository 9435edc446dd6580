package metrics

import "sync"

// Bounds on the values of a label.
const (
	maxNumbers = 100
	maxCodes   = 100
	other      = "other"
)

// capped lets the first values of a label through, up to its limit, and calls all later ones
// "other": whatever is sent to it, Prometheus gets a bounded number of series. Known values always
// pass, and do not count.
type capped struct {
	limit int // with the known ones

	mu   sync.Mutex
	seen map[string]struct{}
}

func newCapped(limit int, known ...string) *capped {
	c := &capped{seen: make(map[string]struct{})}
	for _, v := range known {
		c.seen[v] = struct{}{}
	}
	c.limit = limit + len(c.seen)
	return c
}

func (c *capped) label(value string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.seen[value]; ok {
		return value
	}
	if len(c.seen) >= c.limit {
		return other
	}
	c.seen[value] = struct{}{}
	return value
}
