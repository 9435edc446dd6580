package metrics

import "sync"

// Bounds on the values of a label.
const (
	maxNumbers = 100
	maxCodes   = 100
	other      = "other"
)

// capped lets the first values of a label through, up to its limit, and calls all later ones
// "other": whatever is sent to it, Prometheus gets a bounded number of series.
type capped struct {
	limit int

	mu   sync.Mutex
	seen map[string]struct{}
}

func newCapped(limit int) *capped {
	return &capped{limit: limit, seen: make(map[string]struct{})}
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
