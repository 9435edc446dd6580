package deadletter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
)

const phoneNumberID = taskfixture.PhoneNumberID

var (
	num, nums  = taskfixture.Num, taskfixture.Nums
	compareIDs = taskfixture.CompareIDs
)

func must[T any](v T, err error) func(testing.TB) T { return taskfixture.Must(v, err) }

// fixture adds the dead-letter queue to what most tests want of a Redis.
type fixture struct {
	*taskfixture.Fixture
	dead *deadletter.Queue
}

func setup(t testing.TB, rdb redis.UniversalClient) *fixture {
	t.Helper()
	return &fixture{Fixture: taskfixture.New(t, rdb), dead: deadletter.New(rdb)}
}

// each runs body on miniredis and on a real Redis.
func each(t *testing.T, body func(t *testing.T, f *fixture)) {
	t.Helper()
	taskfixture.Each(t, func(t *testing.T, f *taskfixture.Fixture) { body(t, setup(t, f.Redis)) })
}

// letter is a dead letter of user n at version v.
func letter(n int, v ledger.Version) deadletter.Letter {
	return deadletter.Letter{
		PhoneNumberID: phoneNumberID, User: num(n), Operation: ledger.Block, Version: v, Code: 131047,
		Message: "Re-engagement message", Details: "more than 24 hours", FBTraceID: "Atrace", Attempts: 1,
		FirstFailedAt: time.UnixMilli(1_700_000_000_000).UTC(), LastFailedAt: time.UnixMilli(1_700_000_100_000).UTC(),
	}
}

func (f *fixture) put(letters ...deadletter.Letter) {
	f.Helper()
	if err := f.dead.Put(f.Context(), letters...); err != nil {
		f.Fatal(err)
	}
}

// all returns every letter that the filter lets through, by user or reason.
func (f *fixture) all(filter deadletter.Filter) map[string]deadletter.Letter {
	f.Helper()
	out := make(map[string]deadletter.Letter)
	for e, err := range f.dead.All(f.Context(), filter) {
		if err != nil {
			f.Fatal(err)
		}
		name := e.User.Reveal()
		if e.Malformed != nil {
			name = e.Malformed.Reason
		}
		if _, twice := out[name]; twice {
			f.Fatalf("an entry came twice: %s", strings.ReplaceAll(name, "+", ""))
		}
		out[name] = e
	}
	return out
}

// die lets users fail for good, at a new version of op.
func (f *fixture) die(op ledger.Operation, users ...user.ID) ledger.Version {
	f.Helper()
	return f.settle(op, ledger.Kill, &ledger.Failure{Code: 131047, Message: "Re-engagement message"}, users...)
}

// succeed lets users succeed, at a new version of op.
func (f *fixture) succeed(op ledger.Operation, users ...user.ID) ledger.Version {
	f.Helper()
	return f.settle(op, ledger.Succeed, nil, users...)
}

func (f *fixture) settle(op ledger.Operation, verdict ledger.Disposition, failure *ledger.Failure, users ...user.ID) ledger.Version {
	f.Helper()
	v := f.Mark(op, users...)
	id := fmt.Sprintf("claim-%d", v)
	c := must(f.Ledger.Claim(f.Context(), ledger.ClaimOptions{ID: id, Max: len(users), Timeout: 10 * time.Minute}))(f)
	if len(c.Users) != len(users) {
		f.Fatalf("claimed %d users of %d", len(c.Users), len(users))
	}
	settlements := make([]ledger.Settlement, len(users))
	for i, u := range c.Users {
		settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: verdict, Failure: failure}
	}
	_ = must(f.Ledger.Settle(f.Context(), id, settlements))(f)
	return v
}

// count returns how many letters there are.
// count returns how many letters there are. A stray task is there twice while its letter takes its place.
func (f *fixture) count() int {
	f.Helper()
	n := 0
	for _, err := range f.dead.All(f.Context(), deadletter.Filter{}) {
		if err != nil {
			f.Fatal(err)
		}
		n++
	}
	return n
}
