package queues_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/taskfixture"
)

const phoneNumberID = taskfixture.PhoneNumberID

type fixture = taskfixture.Fixture

var (
	nums       = taskfixture.Nums
	each       = taskfixture.Each
	compareIDs = taskfixture.CompareIDs
)

func must[T any](v T, err error) func(testing.TB) T { return taskfixture.Must(v, err) }

// complete lets an asynq server end so many tasks of a queue.
func complete(f *fixture, queue string, n int) {
	f.Helper()
	srv := asynq.NewServerFromRedisClient(f.Redis, asynq.Config{
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
