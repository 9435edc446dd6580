package simulator

import (
	"errors"
	"sync"
)

// maxChanged bounds the names of users who have changed their number or user ID since the start.
const maxChanged = 200_000

// identity holds who a name means by now.
type identity struct {
	key    string // of the slot in a list
	waID   string
	userID string
	hidden string // the username that hides the number
	gone   bool   // the name is not its user's any more
}

// changes holds what users are called since they changed their number or user ID. It is safe for concurrent use.
type changes struct {
	mu     sync.RWMutex
	byName map[string]identity // by number and by user ID
	byKey  map[string]identity // by the key of their slot
}

func newChanges() *changes {
	return &changes{byName: map[string]identity{}, byKey: map[string]identity{}}
}

func (c *changes) named(name string) (identity, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	who, ok := c.byName[name]
	return who, ok
}

func (c *changes) keyed(key string) (identity, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	who, ok := c.byKey[key]
	return who, ok
}

func (c *changes) full() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.byName) > maxChanged-4
}

// note makes a user known by the new names alone. The old ones, given as they were, are gone, but for those that are new.
func (c *changes) note(before, after identity, old ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range old {
		if name != "" && name != "+" {
			c.byName[name] = identity{key: before.key, waID: before.waID, userID: before.userID, hidden: before.hidden, gone: true}
		}
	}
	if after.waID != "" {
		c.byName["+"+after.waID] = after
	}
	if after.userID != "" {
		c.byName[after.userID] = after
	}
	if before.key != after.key {
		left := before // keeps its slot, under the names that it was listed by
		left.gone = true
		c.byKey[before.key] = left
	}
	c.byKey[after.key] = after
}

// Change holds the names that a user has from now on. One of its fields is enough.
type Change struct {
	// User is the new number; empty for the same one.
	User string
	// UserID is the new business-scoped user ID. Empty for the same one; with [Scenario.UserIDs] a made-up one goes
	// with the number.
	UserID string
}

var errNoChange = errors.New("simulator: a change needs a new number, a new user ID or both")
