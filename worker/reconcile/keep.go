package reconcile

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// The bounds of housekeeping.
const (
	forgetAfter = 30 * 24 * time.Hour // since a user was unblocked
	orphanAfter = 10 * time.Minute    // since work was asked for, until a missing task is missed
	maxOrphans  = 50_000              // users of one pass that are enqueued again
	maxRequeues = 2_000               // jobs of one pass; the next goes on
	keepTimeout = 4 * time.Minute
)

// Keep keeps the ledger of a phone number ID: who is wanted still but in no task is enqueued
// again, who is dead without a dead letter gets one, and who was unblocked long ago is
// forgotten. A pass is bounded; the next goes on.
func (r *Runner) Keep(ctx context.Context, phoneNumberID string) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	lease, ctx, err := takeLease(ctx, r.cfg.Redis, phoneNumberID, newRunID())
	if err != nil {
		return err
	}
	defer lease.giveBack()
	k := &keeping{Runner: r, phoneNumberID: phoneNumberID, ledger: ledger.New(r.cfg.Redis, phoneNumberID)}
	if err := k.do(ctx); err != nil {
		r.cfg.Logger.Error("reconcile: the ledger could not be kept", keyPhoneNumberID, phoneNumberID, keyError, err.Error())
		return fmt.Errorf("reconcile: keep the ledger: %w", err)
	}
	if k.requeued > 0 {
		r.cfg.Logger.Warn("reconcile: users waited without a task, and were enqueued again", keyPhoneNumberID, phoneNumberID, "users", k.requeued)
	}
	if k.buried > 0 {
		r.cfg.Logger.Warn("reconcile: users were dead without a dead letter, and got one", keyPhoneNumberID, phoneNumberID, "users", k.buried)
	}
	if k.forgotten > 0 {
		r.cfg.Logger.Info("reconcile: users unblocked long ago were forgotten", keyPhoneNumberID, phoneNumberID, "users", k.forgotten)
	}
	r.cfg.Metrics.Kept(phoneNumberID, k.requeued, k.forgotten)
	return nil
}

// keeping is one run of Keep.
type keeping struct {
	*Runner
	phoneNumberID               string
	ledger                      *ledger.Ledger
	requeued, buried, forgotten int
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
	waiting, dead, old, err := k.scan(ctx, now)
	if err != nil {
		return err
	}
	if k.buried, err = tasks.NewDeadLetters(k.cfg.Redis).PutMissing(ctx, k.phoneNumberID, dead); err != nil {
		return err
	}
	for chunk := range slices.Chunk(old, ledger.MaxBatch) {
		n, err := k.ledger.Forget(ctx, chunk)
		if err != nil {
			return err
		}
		k.forgotten += n
	}
	if len(waiting) == 0 {
		return nil
	}
	if err := k.cover(ctx, waiting); err != nil {
		return err
	}
	return k.requeue(ctx, waiting)
}

// scan returns whoever has waited for long, whoever is dead, and whoever may be forgotten.
func (k *keeping) scan(ctx context.Context, now time.Time) (waiting map[user.ID]want, dead []user.ID, old []ledger.Entry, err error) {
	waiting = map[user.ID]want{}
	for e, err := range k.ledger.Scan(ctx) {
		if err != nil {
			return nil, nil, nil, err
		}
		open := e.State == ledger.Waiting || e.State == ledger.InFlight
		switch {
		case e.Forgettable(now.Add(-forgetAfter)):
			old = append(old, e)
		case e.State == ledger.Dead:
			dead = append(dead, e.User)
		case open && now.Sub(e.Version.Time()) > orphanAfter && len(waiting) < maxOrphans:
			waiting[e.User] = want{e.Operation, e.Queue, e.Version}
		}
	}
	return waiting, dead, old, nil
}

// cover takes from waiting whom a task carries.
func (k *keeping) cover(ctx context.Context, waiting map[user.ID]want) error {
	for p, err := range k.producer.Live(ctx, k.phoneNumberID) {
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
// task wakes a worker for it. The job's ID follows from what is in it, so that two that do
// this at once make one job.
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
		sortBy(users, func(u user.ID) user.ID { return u })
		_, err := k.producer.Enqueue(ctx, tasks.Request{
			Operation: w.op, Users: users, PhoneNumberID: k.phoneNumberID, Queue: w.queue, Version: w.version, JobID: requeueID(w, users),
		})
		if err != nil {
			return err
		}
		k.requeued += len(users)
	}
	return nil
}

func requeueID(w want, users []user.ID) string {
	h := sha256.New()
	writeWord(h, string(w.op))
	writeWord(h, string(w.queue))
	_ = binary.Write(h, binary.BigEndian, int64(w.version)) // a hash takes everything
	for _, u := range users {
		_, _ = io.WriteString(h, reveal(u)+"\n")
	}
	return "again-" + letters(h.Sum(nil)[:12])
}
