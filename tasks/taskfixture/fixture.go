// Package taskfixture gives tests of the task packages a Redis with a producer, a ledger and an
// inspector of its queues, and finds dead letters in it.
package taskfixture

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// PhoneNumberID is the phone number ID of a Fixture.
const PhoneNumberID = "106540352242922"

// CompareIDs lets go-cmp compare users.
var CompareIDs = cmp.Comparer(func(a, b user.ID) bool { return a == b })

// Fixture is a Redis with what most tests want of it.
type Fixture struct {
	testing.TB
	Redis     redis.UniversalClient
	Inspector *asynq.Inspector
	Ledger    *ledger.Ledger
	Producer  *tasks.Producer
}

// New returns a Fixture on rdb.
func New(t testing.TB, rdb redis.UniversalClient) *Fixture {
	t.Helper()
	p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: PhoneNumberID})
	if err != nil {
		t.Fatal(err)
	}
	return &Fixture{
		TB: t, Redis: rdb, Inspector: asynq.NewInspectorFromRedisClient(rdb),
		Ledger: ledger.New(rdb, PhoneNumberID), Producer: p,
	}
}

// Each runs body on miniredis and on a real Redis.
func Each(t *testing.T, body func(t *testing.T, f *Fixture)) {
	t.Helper()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) { body(t, New(t, rdb)) })
}

// Task returns a task, failing the test where there is none.
func (f *Fixture) Task(queue, id string) *asynq.TaskInfo {
	f.Helper()
	return Must(f.Inspector.GetTaskInfo(queue, id))(f)
}

// Mark requests op for users at a new version, which it returns.
func (f *Fixture) Mark(op ledger.Operation, users ...user.ID) ledger.Version {
	f.Helper()
	v := Must(f.Ledger.NextVersion(f.Context()))(f)
	requests := make([]ledger.Request, len(users))
	for i, u := range users {
		requests[i] = ledger.Request{User: u, Operation: op, Queue: ledger.Bulk, Version: v}
	}
	_ = Must(f.Ledger.Mark(f.Context(), requests))(f)
	return v
}

// Letter returns the dead letter of a user, and whether there is one.
func Letter(t testing.TB, dead *deadletter.Queue, phoneNumberID string, u user.ID) (deadletter.Letter, bool) {
	t.Helper()
	for d, err := range dead.All(t.Context(), deadletter.Filter{PhoneNumberID: phoneNumberID, Users: []user.ID{u}}) {
		if err != nil {
			t.Fatal(err)
		}
		return d, true
	}
	return deadletter.Letter{}, false
}

// Num returns the n-th user of tests.
func Num(n int) user.ID {
	id, err := user.FromCanonical(fmt.Sprintf("+1650%07d", 5550000+n))
	if err != nil {
		panic(err) // the number is made here
	}
	return id
}

// Nums returns the first n users of tests.
func Nums(n int) []user.ID {
	out := make([]user.ID, n)
	for i := range out {
		out[i] = Num(i)
	}
	return out
}

// Must returns a function that fails the test on err, and else returns v.
func Must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
