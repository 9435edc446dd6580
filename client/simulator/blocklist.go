package simulator

import (
	"maps"
	"slices"
	"time"
)

// ordered is a set that remembers in which order its members came.
type ordered struct {
	pos     map[string]int // index in keys
	keys    []string       // "" where one was removed
	version int64          // microseconds, as in Meta's cursors; grows with every change
}

func newOrdered(now time.Time) *ordered {
	return &ordered{pos: map[string]int{}, version: now.UnixMicro()}
}

func (o *ordered) has(key string) bool {
	_, ok := o.pos[key]
	return ok
}

func (o *ordered) len() int { return len(o.pos) }

func (o *ordered) add(key string) {
	if o.has(key) {
		return
	}
	if len(o.keys) > 64 && len(o.keys) > 2*len(o.pos) {
		o.compact()
	}
	o.pos[key] = len(o.keys)
	o.keys = append(o.keys, key)
}

func (o *ordered) remove(key string) {
	if i, ok := o.pos[key]; ok {
		delete(o.pos, key)
		o.keys[i] = ""
	}
}

// compact closes the gaps that removals left, so that an offset is an index.
func (o *ordered) compact() {
	if len(o.keys) == len(o.pos) {
		return
	}
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == "" })
	for i, k := range o.keys {
		o.pos[k] = i
	}
}

// members returns the keys in order; only good until the next change.
func (o *ordered) members() []string {
	o.compact()
	return o.keys
}

func (o *ordered) clone() *ordered {
	return &ordered{pos: maps.Clone(o.pos), keys: slices.Clone(o.keys), version: o.version}
}

// blocklist is the list of one phone number, and what listings see of it: with a lag, that is
// how it was a while ago.
type blocklist struct {
	*ordered
	lag     time.Duration
	shown   *ordered // nil without a lag
	pending []change // made, not yet shown; oldest first
}

// change is one addition or removal, or with an empty key a version alone.
type change struct {
	at      time.Time
	key     string
	add     bool
	version int64
}

// maxPending bounds how much a lag holds back; beyond it changes show early.
const maxPending = 1_000_000

func newBlocklist(now time.Time) blocklist { return blocklist{ordered: newOrdered(now)} }

// setLag changes how late listings are; what was pending shows at once.
func (l *blocklist) setLag(lag time.Duration) {
	if lag == l.lag {
		return
	}
	l.lag, l.shown, l.pending = lag, nil, nil
	if lag > 0 {
		l.shown = l.ordered.clone()
	}
}

// add and remove make a change; bump, once after the changes of a call, gives the version.
func (l *blocklist) add(now time.Time, key string) {
	l.ordered.add(key)
	l.later(change{at: now, key: key, add: true})
}

func (l *blocklist) remove(now time.Time, key string) {
	l.ordered.remove(key)
	l.later(change{at: now, key: key})
}

func (l *blocklist) bump(now time.Time) {
	l.version = max(l.version+1, now.UnixMicro())
	l.later(change{at: now, version: l.version})
}

func (l *blocklist) later(c change) {
	if l.shown != nil {
		l.pending = append(l.pending, c)
		l.view(c.at)
	}
}

// view is the list as a listing sees it now.
func (l *blocklist) view(now time.Time) *ordered {
	if l.shown == nil {
		return l.ordered
	}
	done := 0
	for _, c := range l.pending {
		if now.Sub(c.at) < l.lag && len(l.pending)-done <= maxPending {
			break
		}
		switch {
		case c.key == "":
			l.shown.version = c.version
		case c.add:
			l.shown.add(c.key)
		default:
			l.shown.remove(c.key)
		}
		done++
	}
	l.pending = slices.Delete(l.pending, 0, done)
	return l.shown
}
