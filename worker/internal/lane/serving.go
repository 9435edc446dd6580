package lane

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/user"
)

// unserved describes a phone number ID that the worker has no token for: its users take
// the ordinary way, and every call of it fails for good, with the reason. So they end in the
// dead-letter queue, and can be redriven when the worker has learnt of the number.
func unserved(phoneNumberID string) PhoneNumber {
	return PhoneNumber{ID: phoneNumberID, API: noToken{phoneNumberID}, Token: secret.Static(secret.String{})}
}

type noToken struct{ phoneNumberID string }

func (n noToken) err() error {
	return fmt.Errorf("%w: no access token is configured for phone number ID %s: add it to phone_numbers, or set WABLOCK_ACCESS_TOKEN, then redrive",
		client.ErrInvalidRequest, n.phoneNumberID)
}

func (n noToken) Block(context.Context, string, []user.ID) (*client.Result, error) {
	return nil, n.err()
}

func (n noToken) Unblock(context.Context, string, []user.ID) (*client.Result, error) {
	return nil, n.err()
}

func (n noToken) Check(context.Context, string) error { return n.err() }

// serving tells in Redis that this worker serves a phone number ID, and so whose claims are to be taken over if it dies. A
// worker without a token is kept from claiming, and so dead-lettering, users that another one can serve.
type serving struct {
	redis                   redis.UniversalClient
	workerID, phoneNumberID string
	claimPrefix             string       // of the lane
	noToken                 bool         // there is none for the phone number ID
	elsewhere               *atomic.Bool // another worker serves it
	announced               time.Time    // when Redis was told last, or when the wait for others began
}

// wait returns how long to wait before the next claim.
func (s *serving) wait(ctx context.Context) (time.Duration, error) {
	key := "wablock:{" + s.phoneNumberID + "}:served"
	if !s.noToken {
		if time.Since(s.announced) < announceEvery {
			return 0, nil
		}
		pipe := s.redis.Pipeline()
		pipe.Set(ctx, key, s.claimPrefix, announceFor)
		fleet.Serves(ctx, pipe, s.workerID, s.phoneNumberID, time.Now())
		_, err := pipe.Exec(ctx)
		if err == nil {
			s.announced = time.Now()
		}
		return 0, err
	}
	if s.announced.IsZero() { // workers that were woken at the same time come first
		s.announced = time.Now()
		s.elsewhere.Store(true)
	}
	if left := unservedGrace - time.Since(s.announced); left > 0 {
		return left, nil
	}
	n, err := s.redis.Exists(ctx, key).Result()
	s.elsewhere.Store(err != nil || n > 0)
	if err != nil || n > 0 {
		return idlePoll, err
	}
	return 0, nil
}
