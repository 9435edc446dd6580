package deadletter

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// hashKeyName holds the key of the hashes in task IDs. It is read with every batch,
// never kept: after a FLUSHDB two processes with different keys would not find each other's
// letters.
const hashKeyName = "wablock:dead-letter:key"

const malformedPrefix = "malformed"

var idShape = regexp.MustCompile(`^(?:[0-9]{1,32}|` + malformedPrefix + `):[a-p]{32}$`)

// IsID reports whether a text has the shape of a letter's ID, such as Filter.After continues at. The letter itself
// may be gone.
func IsID(text string) bool { return idShape.MatchString(text) }

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

// readHasher reads the key, and makes one where there is none yet.
func readHasher(ctx context.Context, rdb redis.UniversalClient) (hasher, error) {
	text, err := rdb.Get(ctx, hashKeyName).Result()
	if errors.Is(err, redis.Nil) {
		var fresh [32]byte
		_, _ = rand.Read(fresh[:]) // never fails: see crypto/rand
		if err := rdb.SetNX(ctx, hashKeyName, hex.EncodeToString(fresh[:]), 0).Err(); err != nil {
			return hasher{}, fmt.Errorf("make the key of the task IDs: %w", queues.Explain(err))
		}
		text, err = rdb.Get(ctx, hashKeyName).Result() // another process's, perhaps
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
