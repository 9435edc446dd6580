package pages

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/redis/go-redis/v9"
)

// formKey holds the secret of the forms, the same for all workers; it never expires.
const formKey = "wablock:web:form-key"

// formToken makes and checks the token that a form carries, which pages of other sites can't read. It depends on the
// caller and the action.
type formToken struct {
	rdb redis.UniversalClient

	mu  sync.Mutex
	key []byte // as it was read last
}

func (f *formToken) of(ctx context.Context, caller, action string) (string, error) {
	key, err := f.read(ctx)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(caller + "\n" + action)) // never fails
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (f *formToken) check(ctx context.Context, caller, action, got string) (bool, error) {
	want, err := f.of(ctx, caller, action)
	return err == nil && hmac.Equal([]byte(want), []byte(got)), err
}

// read returns the key, and makes one where there is none.
func (f *formToken) read(ctx context.Context) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.key != nil {
		return f.key, nil
	}
	if err := f.rdb.SetNX(ctx, formKey, rand.Text()+rand.Text(), 0).Err(); err != nil {
		return nil, err
	}
	key, err := f.rdb.Get(ctx, formKey).Bytes()
	if err == nil {
		f.key = key
	}
	return key, err
}
