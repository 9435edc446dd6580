package ledger_test

import (
	"maps"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// snapshot is a replica that has stopped following: the last second is lost when it takes over.
type snapshot struct {
	ref    map[user.ID]*refUser
	marked map[user.ID]ledger.Request
	users  map[string]string
	sets   map[string][]redis.Z
}

func (w *world) indexes() []string {
	keys := []string{w.prefix + "later"}
	for _, q := range ledger.Queues() {
		for _, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
			keys = append(keys, w.prefix+"waiting:"+string(q)+":"+string(op))
		}
	}
	return keys
}

func (w *world) replicate(t *rapid.T) {
	s := &snapshot{ref: map[user.ID]*refUser{}, marked: maps.Clone(w.marked), sets: map[string][]redis.Z{}}
	for id, u := range w.ref.users {
		copied := *u
		s.ref[id] = &copied
	}
	var err error
	s.users, err = w.rdb.HGetAll(w.ctx, w.prefix+"users").Result()
	ok(t, err)
	for _, key := range w.indexes() {
		s.sets[key], err = w.rdb.ZRangeWithScores(w.ctx, key, 0, -1).Result()
		ok(t, err)
	}
	w.saved = s
}

// failOver loses what came since. Calls go on; the workers that made them hear of their ends.
func (w *world) failOver(t *rapid.T) {
	s := w.saved
	if s == nil {
		return
	}
	w.saved, w.failed = nil, true
	for _, c := range w.calls {
		if c.crashed && c.out() { // its end is heard by no worker, so it can't be made good
			w.end(t, c)
		}
		c.late = true
	}
	w.ref.users, w.marked = s.ref, s.marked
	ok(t, w.rdb.Del(w.ctx, append(w.indexes(), w.prefix+"users")...).Err())
	for id, line := range s.users {
		ok(t, w.rdb.HSet(w.ctx, w.prefix+"users", id, line).Err())
	}
	for key, members := range s.sets {
		if len(members) > 0 {
			ok(t, w.rdb.ZAdd(w.ctx, key, members...).Err())
		}
	}
}
