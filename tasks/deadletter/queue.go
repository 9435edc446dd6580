package deadletter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Queue is the dead-letter queue: users whose requests failed for good, and malformed tasks, until
// they are redriven or discarded. Each is one asynq task in queues.DeadLetter, scheduled for the
// year 2099, so that the web UI shows it and nothing drops it. Its ID is made of the phone number
// ID and a keyed hash of the user: one letter a user, found at once. Safe for concurrent use.
//
// The ledger is true, and written first. Putting and removing are several commands each, and two
// processes may do both for one user at the same time, one of them late: so each looks at the
// ledger afterwards (see align), and the last one to write looks last. What a process that died in
// between has left is for Sync.
type Queue struct{ store }

// New returns the dead-letter queue in rdb, which stays the caller's to close.
func New(rdb redis.UniversalClient) *Queue {
	return &Queue{store{rdb: rdb, inspector: asynq.NewInspectorFromRedisClient(rdb)}}
}

// Put takes letters in. A user's letter replaces an older one; putting the same again changes
// nothing; one that the ledger says succeeded or was discarded meanwhile is dropped. After an
// error some may have been put: put all again.
func (d *Queue) Put(ctx context.Context, letters ...Letter) error {
	if len(letters) == 0 {
		return nil
	}
	if err := d.put(ctx, letters); err != nil {
		return fmt.Errorf("tasks: put dead letters: %w", queues.Explain(err))
	}
	return nil
}

func (d *Queue) put(ctx context.Context, letters []Letter) error {
	h, err := readHasher(ctx, d.rdb)
	if err != nil {
		return err
	}
	byID := make(map[string]Letter, len(letters))
	byNumber := make(map[string]map[user.ID]ledger.Version)
	for _, e := range letters {
		if e.Malformed == nil {
			if reason := e.fault(); reason != "" {
				return errors.New("a dead letter with " + reason)
			}
		}
		e.ID = h.of(e)
		if old, twice := byID[e.ID]; twice && old.Version >= e.Version {
			continue
		}
		byID[e.ID] = e
		if e.Malformed == nil {
			if byNumber[e.PhoneNumberID] == nil {
				byNumber[e.PhoneNumberID] = make(map[user.ID]ledger.Version)
			}
			byNumber[e.PhoneNumberID][e.User] = e.Version
		}
	}
	if err := d.write(ctx, slices.Collect(maps.Values(byID)), byNumber); err != nil {
		return err
	}
	for number, have := range byNumber {
		if err := d.align(ctx, h, number, have); err != nil {
			return err
		}
	}
	return nil
}

// write puts the index first, then the letters, and the index again: a failover in between may have lost
// it alone, and then no success would find the letters.
func (d *Queue) write(ctx context.Context, letters []Letter, byNumber map[string]map[user.ID]ledger.Version) error {
	index := func() error {
		for number, users := range byNumber {
			if err := d.index(ctx, number, slices.Collect(maps.Keys(users))); err != nil {
				return err
			}
		}
		return nil
	}
	if err := index(); err != nil {
		return err
	}
	// Of its own: a Client registers a queue once in its life, and not again after Redis has
	// lost its data.
	client := asynq.NewClientFromRedisClient(d.rdb)
	err := parallel.Each(ctx, parallel.Commands, letters, func(ctx context.Context, e Letter) error {
		return d.putOne(ctx, client, e)
	})
	if err != nil {
		return err
	}
	return index()
}

// index notes that users may have a letter.
func (d *Queue) index(ctx context.Context, phoneNumberID string, users []user.ID) error {
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		if err := d.rdb.SAdd(ctx, ledger.DeadKey(phoneNumberID), revealed(chunk)...).Err(); err != nil {
			return err
		}
	}
	return nil
}

func revealed(users []user.ID) []any {
	out := make([]any, len(users))
	for i, u := range users {
		out[i] = u.Reveal()
	}
	return out
}

// alignRounds bounds the mending; a second round is needed only when the ledger changed again
// in the meantime, and the process that changed it looks as well.
const alignRounds = 3

// align makes the letters of some users fit the ledger: have is the version of the letter that
// was just written for each, 0 when it was removed.
func (d *Queue) align(ctx context.Context, h hasher, phoneNumberID string, have map[user.ID]ledger.Version) error {
	l := ledger.New(d.rdb, phoneNumberID)
	for range alignRounds {
		var put []Letter
		var drop []user.ID
		for chunk := range slices.Chunk(slices.Collect(maps.Keys(have)), ledger.MaxBatch) {
			records, err := l.Entries(ctx, chunk)
			if err != nil {
				return err
			}
			for _, e := range records {
				switch {
				case e.State == ledger.Dead && e.Version > have[e.User]:
					dead := Of(phoneNumberID, e)
					dead.ID = h.of(dead)
					put = append(put, dead)
				case (e.State == ledger.Succeeded || e.State == ledger.Discarded) &&
					have[e.User] > 0 && e.Version >= have[e.User]:
					drop = append(drop, e.User)
				}
			}
		}
		if len(put)+len(drop) == 0 {
			return nil
		}
		clear(have)
		for _, e := range put {
			have[e.User] = e.Version
		}
		if err := d.write(ctx, put, map[string]map[user.ID]ledger.Version{phoneNumberID: maps.Clone(have)}); err != nil {
			return err
		}
		if err := d.drop(ctx, phoneNumberID, drop, h.users(phoneNumberID, drop)); err != nil {
			return err
		}
		for _, u := range drop {
			have[u] = 0
		}
	}
	return nil
}

// drop deletes letters of users of one phone number ID, then takes the users off the index, and looks
// again: a failover in between may have brought back the letters alone, and then no success would find them.
func (d *Queue) drop(ctx context.Context, phoneNumberID string, users []user.ID, ids []string) error {
	for range alignRounds {
		if len(users) == 0 {
			return nil
		}
		if err := d.deleteTasks(ctx, ids); err != nil {
			return err
		}
		for chunk := range slices.Chunk(users, ledger.MaxBatch) {
			if err := d.rdb.SRem(ctx, ledger.DeadKey(phoneNumberID), revealed(chunk)...).Err(); err != nil {
				return err
			}
		}
		back, err := d.there(ctx, ids)
		if err != nil || !slices.Contains(back, true) {
			return err
		}
	}
	return d.index(ctx, phoneNumberID, users) // for Sync
}

// there reports which letters are in the queue.
func (d *Queue) there(ctx context.Context, ids []string) ([]bool, error) {
	pipe := d.rdb.Pipeline()
	cmds := make([]*redis.IntCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.Exists(ctx, queueKey("t:"+id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	there := make([]bool, len(ids))
	for i, cmd := range cmds {
		there[i] = cmd.Val() > 0
	}
	return there, nil
}

// Remove deletes the letters of users that succeeded since. It costs one round trip when none
// of them has one. A letter that the ledger still holds dead comes back: to end it is
// [Queue.Discard].
func (d *Queue) Remove(ctx context.Context, phoneNumberID string, users ...user.ID) error {
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		if err := d.remove(ctx, phoneNumberID, chunk); err != nil {
			return fmt.Errorf("tasks: remove dead letters: %w", err)
		}
	}
	return nil
}

func (d *Queue) remove(ctx context.Context, phoneNumberID string, users []user.ID) error {
	listed, err := d.rdb.SMIsMember(ctx, ledger.DeadKey(phoneNumberID), revealed(users)...).Result()
	if err != nil {
		return err
	}
	have := make(map[user.ID]ledger.Version)
	for i, yes := range listed {
		if yes {
			have[users[i]] = 0
		}
	}
	if len(have) == 0 {
		return nil
	}
	h, err := readHasher(ctx, d.rdb)
	if err != nil {
		return err
	}
	found := slices.Collect(maps.Keys(have))
	if err := d.drop(ctx, phoneNumberID, found, h.users(phoneNumberID, found)); err != nil {
		return err
	}
	return d.align(ctx, h, phoneNumberID, have)
}

// Sync makes the queue fit the ledger, for these phone number IDs and all that have a letter: it
// puts the letters of dead users who have none, and removes those of users who have succeeded or
// were discarded since. It reads the IDs of the queue's tasks, then a thousand users at a time:
// some microseconds a letter.
func (d *Queue) Sync(ctx context.Context, phoneNumberIDs ...string) (Synced, error) {
	ids, err := d.ids(ctx, Filter{})
	if err != nil {
		return Synced{}, fmt.Errorf("tasks: sync dead letters: %w", err)
	}
	byNumber := map[string][]string{}
	for _, number := range phoneNumberIDs {
		byNumber[number] = nil
	}
	for _, id := range ids {
		if number, _, _ := strings.Cut(id, ":"); queues.CheckPhoneNumberID(number) == nil { // else of a malformed task
			byNumber[number] = append(byNumber[number], id)
		}
	}
	run := syncing{queue: d}
	for _, number := range slices.Sorted(maps.Keys(byNumber)) {
		if err := run.number(ctx, number, byNumber[number]); err != nil {
			return run.sum, fmt.Errorf("tasks: sync dead letters: %w", queues.Explain(err))
		}
	}
	return run.sum, nil
}

// dropLetters deletes letters of one phone number ID as they were read, by their own IDs: so
// those go too that were put under a key of the hashes that is lost. What died again meanwhile
// comes back.
func (d *Queue) dropLetters(ctx context.Context, phoneNumberID string, letters []Letter) error {
	h, err := readHasher(ctx, d.rdb)
	if err != nil {
		return err
	}
	users, ids := make([]user.ID, len(letters)), make([]string, len(letters))
	have := make(map[user.ID]ledger.Version, len(letters))
	for i, e := range letters {
		users[i], ids[i] = e.User, e.ID
		have[e.User] = 0
	}
	if err := d.drop(ctx, phoneNumberID, users, ids); err != nil {
		return err
	}
	return d.align(ctx, h, phoneNumberID, have)
}

// All yields the letters that pass the filter, each once, those of one phone number ID together
// and in no order otherwise. What is in the queue all the while is yielded; what comes or goes
// meanwhile may be. It reads in chunks, and the loop's body may put, redrive and discard. An
// error ends it.
func (d *Queue) All(ctx context.Context, f Filter) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		for chunk, err := range d.chunks(ctx, f) {
			if err != nil {
				yield(Letter{}, err)
				return
			}
			for _, e := range chunk {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// DiscardOptions tune Discard; the zero value discards.
type DiscardOptions struct {
	// DryRun changes nothing.
	DryRun bool
	// Each, if set, is told of each letter.
	Each func(e Letter)
}

// Discard deletes the letters that pass f without another try; their users may be asked for anew.
// It returns how many. After an error it is safe to repeat.
func (d *Queue) Discard(ctx context.Context, f Filter, o DiscardOptions) (int, error) {
	n := 0
	for chunk, err := range d.chunks(ctx, f) {
		if err == nil && !o.DryRun {
			err = d.discard(ctx, chunk)
		}
		if err != nil {
			return n, fmt.Errorf("tasks: discard: %w", queues.Explain(err))
		}
		n += len(chunk)
		if o.Each != nil {
			for _, e := range chunk {
				o.Each(e)
			}
		}
	}
	return n, nil
}

// discard tells the ledger first: else a task that runs again puts the letter back.
func (d *Queue) discard(ctx context.Context, letters []Letter) error {
	byNumber := make(map[string][]Letter)
	var malformed []string
	for _, e := range letters {
		if e.Malformed != nil {
			malformed = append(malformed, e.ID)
			continue
		}
		byNumber[e.PhoneNumberID] = append(byNumber[e.PhoneNumberID], e)
	}
	for number, letters := range byNumber {
		l := ledger.New(d.rdb, number)
		err := parallel.Each(ctx, parallel.Commands, letters, func(ctx context.Context, e Letter) error {
			_, err := l.Discard(ctx, e.User, e.Version) // false: a newer request has taken its place
			return err
		})
		if err != nil {
			return err
		}
		if err := d.dropLetters(ctx, number, letters); err != nil {
			return err
		}
	}
	return d.deleteTasks(ctx, malformed)
}
