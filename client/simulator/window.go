package simulator

import (
	"errors"
	"hash/fnv"
	"time"
)

// maxWriters bounds how many messages of users are remembered.
const maxWriters = 1_000_000

var errTooManyWriters = errors.New("simulator: remembers the messages of too many users: reset it")

// writer is a user in the scope for which their message opens the window.
type writer struct{ scope, key string }

// window holds when users wrote.
type window struct {
	start time.Time // User.Wrote counts from here
	wrote map[writer]time.Time
}

func newWindow(now time.Time) window {
	return window{start: now, wrote: map[writer]time.Time{}}
}

// writerOf returns a user in the scope of the settings.
func writerOf(set *settings, n *number, p person) writer {
	if set.Window.Scope == scopeAccount {
		return writer{scopeAccount + n.account, p.key}
	}
	return writer{n.id, p.key}
}

// note records a message of a user.
func (w *window) note(who writer, at time.Time) error {
	if _, ok := w.wrote[who]; !ok && len(w.wrote) >= maxWriters {
		return errTooManyWriters
	}
	w.wrote[who] = at
	return nil
}

// open reports whether the user wrote recently enough to be blocked.
func (w *window) open(set *settings, n *number, p person, now time.Time) bool {
	at, wrote := w.last(set, n, p, now)
	return wrote && now.Sub(at) < time.Duration(set.Window.Length)
}

// last returns when the user wrote last, and whether they ever did.
func (w *window) last(set *settings, n *number, p person, now time.Time) (at time.Time, wrote bool) {
	if len(w.wrote) > 0 {
		if at, ok := w.wrote[writerOf(set, n, p)]; ok {
			return at, true
		}
	}
	if u := set.directory.byKey[p.key]; u != nil {
		if u.Silent {
			return time.Time{}, false
		}
		if u.Wrote != nil {
			return w.start.Add(-time.Duration(*u.Wrote)), true
		}
	}
	share := set.Window.SilentShare
	return now, share == 0 || lot(set.Seed, p.key) >= share
}

// lot is a number in [0, 1) that a user draws once and for all.
func lot(seed uint64, key string) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return float64(mix(h.Sum64()^mix(seed))>>11) / (1 << 53)
}

// mix spreads every bit of its input over the output (the finalizer of splitmix64), which
// FNV does not for short keys that differ in their last digit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
