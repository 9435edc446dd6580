package deadletter

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Queue is the dead-letter queue: users whose requests failed for good, and malformed
// tasks, until somebody redrives or discards them. Each is one asynq task in queues.DeadLetter,
// scheduled for the year 2099, so that the web UI shows it and nothing drops it. Its ID is
// made of the phone number ID and a keyed hash of the user: one entry a user, found at once.
// Safe for concurrent use.
type Queue struct {
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
}

// New returns the dead-letter queue in rdb, which stays the caller's to close.
func New(rdb redis.UniversalClient) *Queue {
	return &Queue{rdb: rdb, inspector: asynq.NewInspectorFromRedisClient(rdb)}
}

// hashKeyName is where the key of the hashes in task IDs stands. It is read with every batch,
// never kept: after a FLUSHDB two processes with different keys would not find each other's
// entries.
const hashKeyName = "wablock:dead-letter:key"

// indexName is the set of the users of a phone number ID that may have an entry: written
// before the entry, removed after it, so that a worker need not ask for each user that
// succeeds.
func indexName(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:dead" }

const malformedPrefix = "malformed"

// hasher makes task IDs.
type hasher struct{ key []byte }

func (h hasher) sum(parts ...string) string {
	mac := hmac.New(sha256.New, h.key)
	for _, p := range parts { // with their lengths, so that no two rows of parts are the same bytes
		_, _ = mac.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return user.Letters(mac.Sum(nil)[:16])
}

func (h hasher) user(phoneNumberID string, u user.ID) string {
	return phoneNumberID + ":" + h.sum("user", phoneNumberID, u.Reveal())
}

func (h hasher) users(phoneNumberID string, users []user.ID) []string {
	ids := make([]string, len(users))
	for i, u := range users {
		ids[i] = h.user(phoneNumberID, u)
	}
	return ids
}

func (h hasher) of(d Letter) string {
	if m := d.Malformed; m != nil {
		return malformedPrefix + ":" + h.sum(malformedPrefix, m.Queue, m.Type, m.SHA256)
	}
	return h.user(d.PhoneNumberID, d.User)
}

// hasher reads the key, and makes one where there is none yet.
func (d *Queue) hasher(ctx context.Context) (hasher, error) {
	text, err := d.rdb.Get(ctx, hashKeyName).Result()
	if errors.Is(err, redis.Nil) {
		var fresh [32]byte
		_, _ = rand.Read(fresh[:]) // never fails: see crypto/rand
		if err := d.rdb.SetNX(ctx, hashKeyName, hex.EncodeToString(fresh[:]), 0).Err(); err != nil {
			return hasher{}, fmt.Errorf("make the key of the task IDs: %w", queues.Explain(err))
		}
		text, err = d.rdb.Get(ctx, hashKeyName).Result() // somebody else's, perhaps
	}
	if err != nil {
		return hasher{}, fmt.Errorf("read the key of the task IDs: %w", err)
	}
	return parseHasher(text)
}

func parseHasher(text string) (hasher, error) {
	key, err := hex.DecodeString(text)
	if err != nil || len(key) < 16 {
		return hasher{}, fmt.Errorf("the Redis key %s is not what was written there: "+
			"dead letters can't be found until it is put back", hashKeyName)
	}
	return hasher{key}, nil
}

// Get returns the entry of a user, and whether there is one.
func (d *Queue) Get(ctx context.Context, phoneNumberID string, u user.ID) (Letter, bool, error) {
	h, err := d.hasher(ctx)
	if err != nil {
		return Letter{}, false, fmt.Errorf("tasks: get dead letter: %w", err)
	}
	e, err := d.fetch(h.user(phoneNumberID, u))
	if err != nil {
		return Letter{}, false, fmt.Errorf("tasks: get dead letter: %w", err)
	}
	if e == nil {
		return Letter{}, false, nil
	}
	return *e, true, nil
}

// fetch returns the entry of a task ID, nil when there is none.
func (d *Queue) fetch(id string) (*Letter, error) {
	info, err := d.inspector.GetTaskInfo(queues.DeadLetter, id)
	if queues.IsGone(err) {
		return nil, nil //nolint:nilnil // the comment says so
	}
	if err != nil {
		return nil, err
	}
	e := Read(info.Type, id, info.Payload)
	return &e, nil
}

// Read decodes the payload of a task in the queue. A task that is not an entry comes out as a
// malformed one.
func Read(typ, id string, payload []byte) Letter {
	e, err := decodeDeadLetter(typ, payload)
	if err != nil {
		e = NewMalformed(typ, queues.DeadLetter, id, payload, err)
		e.FirstFailedAt, e.LastFailedAt = time.Time{}, time.Time{} // nobody knows
	}
	e.ID = id
	return e
}
