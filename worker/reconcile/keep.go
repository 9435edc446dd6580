package reconcile

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// The bounds of housekeeping.
const (
	strandedAfter = 10 * time.Minute // since a request, until its task counts as lost
	maxStranded   = 50_000           // users of one pass that are enqueued again
	maxRequeues   = 2_000            // jobs of one pass; the next goes on
	keepTimeout   = 4 * time.Minute
)

// keeping is one run of Keep.
type keeping struct {
	*Runner
	phoneNumberID string
	ledger        *ledger.Ledger
	kept          Kept
}

// want is a request that a task should carry.
type want struct {
	op      ledger.Operation
	queue   ledger.Queue
	version ledger.Version
}

func (k *keeping) do(ctx context.Context) error {
	now, err := k.cfg.Redis.Time(ctx).Result()
	if err != nil {
		return err
	}
	waiting, err := k.scan(ctx, now)
	if err != nil {
		return err
	}
	synced, err := deadletter.New(k.cfg.Redis).Sync(ctx, k.phoneNumberID)
	if err != nil {
		return err
	}
	k.kept.DeadLettered = synced.Put
	if len(waiting) == 0 {
		return nil
	}
	if err := k.dropCarried(ctx, waiting); err != nil {
		return err
	}
	return k.requeue(ctx, waiting)
}

// scan forgets users who were unblocked long ago, and returns users who have waited for long.
func (k *keeping) scan(ctx context.Context, now time.Time) (waiting map[user.ID]want, err error) {
	waiting = map[user.ID]want{}
	old := make([]ledger.Entry, 0, ledger.MaxBatch)
	forget := func() error {
		n, err := k.ledger.Forget(ctx, old)
		k.kept.Forgotten += n
		old = old[:0]
		return err
	}
	var texts ledger.UsedTexts
	for e, err := range k.ledger.Scan(ctx) {
		if err != nil {
			return nil, err
		}
		if e.Job.Text != "" {
			texts.Add(e.Job.Text)
		}
		open := e.State == ledger.Waiting || e.State == ledger.InFlight
		switch {
		case e.Forgettable(now.Add(-ledger.ForgetAfter)):
			if old = append(old, e); len(old) < ledger.MaxBatch {
				continue
			}
			if err := forget(); err != nil {
				return nil, err
			}
		case open && now.Sub(e.Version.Time()) > strandedAfter && len(waiting) < maxStranded:
			waiting[e.User] = want{e.Operation, e.Queue, e.Version}
		}
	}
	if err := forget(); err != nil {
		return nil, err
	}
	_, err = k.ledger.DropTexts(ctx, &texts)
	return waiting, err
}

// dropCarried takes from waiting the users that a task carries.
func (k *keeping) dropCarried(ctx context.Context, waiting map[user.ID]want) error {
	for p, err := range queues.Live(ctx, k.cfg.Redis, k.phoneNumberID) {
		if err != nil {
			return err
		}
		for _, u := range p.Users {
			if w, ok := waiting[u]; ok && w.version == p.Version && w.op == p.Operation {
				delete(waiting, u)
			}
		}
	}
	return nil
}

// requeue enqueues again what is left, at the version that it has: nothing changes but that a
// task wakes a worker for it. Two processes that do this at once make two tasks that say the same.
func (k *keeping) requeue(ctx context.Context, waiting map[user.ID]want) error {
	jobs := map[want][]user.ID{}
	for u, w := range waiting {
		jobs[w] = append(jobs[w], u)
	}
	order := slices.SortedFunc(maps.Keys(jobs), func(a, b want) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.op, b.op), cmp.Compare(a.queue, b.queue))
	})
	for _, w := range order[:min(len(order), maxRequeues)] {
		users := jobs[w]
		slices.SortFunc(users, user.Compare)
		_, err := k.producer.Enqueue(ctx, tasks.Request{
			Operation: w.op, Users: users, PhoneNumberID: k.phoneNumberID, Queue: w.queue, Version: w.version, Unlisted: true,
		})
		if err != nil {
			return err
		}
		k.kept.Requeued += len(users)
	}
	return nil
}
