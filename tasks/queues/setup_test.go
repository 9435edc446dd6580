package queues_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const phoneNumberID = "106540352242922"

// fixture is a Redis with what most tests want of it.
type fixture struct {
	testing.TB
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
	producer  *tasks.Producer
}

func setup(t testing.TB, rdb redis.UniversalClient) *fixture {
	t.Helper()
	p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{
		TB: t, rdb: rdb, inspector: asynq.NewInspectorFromRedisClient(rdb),
		producer: p,
	}
}

// each runs body on miniredis and on a real Redis.
func each(t *testing.T, body func(t *testing.T, f *fixture)) {
	t.Helper()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) { body(t, setup(t, rdb)) })
}

func num(n int) user.ID {
	id, err := user.FromCanonical(fmt.Sprintf("+1650%07d", 5550000+n))
	if err != nil {
		panic(err) // the number is the test's own
	}
	return id
}

func nums(n int) []user.ID {
	out := make([]user.ID, n)
	for i := range out {
		out[i] = num(i)
	}
	return out
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// complete lets an asynq server end so many tasks of a queue.
func (f *fixture) complete(queue string, n int) {
	f.Helper()
	srv := asynq.NewServerFromRedisClient(f.rdb, asynq.Config{
		Queues: map[string]int{queue: 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	ended := make(chan struct{}, n)
	if err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { ended <- struct{}{}; return nil })); err != nil {
		f.Fatal(err)
	}
	for range n {
		<-ended
	}
	srv.Shutdown()
}
