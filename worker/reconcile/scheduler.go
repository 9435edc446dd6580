package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config/schedule"
	"github.com/wablock/wablock/worker/reconcile/listing"
)

// keepSchedule is the schedule by which a phone number ID without one has its ledger kept.
const keepSchedule = "@hourly"

// The rhythm of a scheduler.
const (
	longestTick  = 15 * time.Second // between two ticks
	busyAgain    = 10 * time.Second // until a slot is tried again while another run is on
	unknownAgain = 20 * time.Second // until another worker may know the phone number ID
	maxSlotAge   = 24 * time.Hour   // after which a slot of an unknown phone number ID is dropped
)

// Scheduled is a target that is reconciled by a schedule.
type Scheduled struct {
	Target
	// Schedule is a cron expression in UTC; "" only keeps the ledger, once an hour.
	Schedule string
}

// Metrics counts what runs do. It must be safe for concurrent use, and quick.
type Metrics interface {
	// Reconciled counts a run that ended in this process.
	Reconciled(r Record)
	// Standing shows how a phone number ID's reconciliations stand, of whatever process.
	Standing(phoneNumberID string, s Standing)
	// Kept counts users enqueued again, and users forgotten, by one housekeeping.
	Kept(phoneNumberID string, requeued, forgotten int)
}

// Standing is the state of the reconciliations of a phone number ID. Records are zero for none.
type Standing struct {
	Last    Record
	Planned Record // the last one with a plan: what it found holds while later runs fail
	Good    Record
	// Overdue is the time of the second slot after the last good run, or after this process
	// began where there was none; zero without a schedule.
	Overdue time.Time
}

// Scheduler enqueues a task for each slot of its schedules, and runs such tasks. Every worker
// has one; each slot is run once all the same.
type Scheduler struct {
	runner  *Runner
	metrics Metrics
	client  *asynq.Client
	targets map[string]*scheduled
	began   time.Time // zero before the first tick

	stop     chan struct{} // closed when Run's context has ended
	stopOnce sync.Once
}

type scheduled struct {
	Target
	schedule schedule.Schedule
	kind     kind
}

// NewScheduler returns a Scheduler of some phone number IDs.
func NewScheduler(r *Runner, m Metrics, targets []Scheduled) (*Scheduler, error) {
	s := &Scheduler{
		runner: r, metrics: m, client: asynq.NewClientFromRedisClient(r.cfg.Redis), targets: map[string]*scheduled{}, stop: make(chan struct{}),
	}
	for _, t := range targets {
		k := kindRun
		if t.Schedule == "" {
			t.Schedule, k = keepSchedule, kindKeep
		}
		parsed, err := schedule.Parse(t.Schedule)
		if err != nil {
			return nil, fmt.Errorf("reconcile: phone number ID %s: schedule %q: %w", t.PhoneNumberID, t.Schedule, err)
		}
		if _, again := s.targets[t.PhoneNumberID]; again {
			return nil, fmt.Errorf("reconcile: phone number ID %s is scheduled twice", t.PhoneNumberID)
		}
		s.targets[t.PhoneNumberID] = &scheduled{Target: t.Target, schedule: parsed, kind: k}
	}
	return s, nil
}

// Run enqueues slots when they are due, until ctx ends; runs that are under way then stop.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.stopOnce.Do(func() { close(s.stop) })
	for ctx.Err() == nil {
		wait := longestTick
		for id, t := range s.targets {
			next, err := s.tick(ctx, t)
			if err != nil && ctx.Err() == nil {
				s.runner.cfg.Logger.Error("reconcile: enqueueing what is due failed; trying again", keyPhoneNumberID, id, keyError, err.Error())
				continue
			}
			wait = min(wait, next)
		}
		if listing.PauseFor(ctx, max(wait, 10*time.Millisecond)) != nil {
			break
		}
	}
	return nil
}

// tick enqueues what is due of one target, and returns the time until the next slot.
func (s *Scheduler) tick(ctx context.Context, t *scheduled) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, longestTick)
	defer cancel()
	rdb, slots := s.runner.cfg.Redis, slotKey(t.PhoneNumberID, t.kind)
	now, err := s.runner.cfg.Now(ctx)
	if err != nil {
		return 0, err
	}
	// A schedule that is new begins now.
	if err := rdb.SetNX(ctx, slots, now.Unix(), 0).Err(); err != nil {
		return 0, err
	}
	last, err := number(ctx, rdb, slots)
	if err != nil {
		return 0, err
	}
	if due := t.schedule.Due(time.Unix(last, 0), now); !due.IsZero() {
		if err := s.enqueue(ctx, t, due); err != nil {
			return 0, err
		}
		if err := raise(ctx, rdb, slots, due.Unix()); err != nil {
			return 0, err
		}
	}
	s.show(ctx, t, now)
	return t.schedule.Next(now).Sub(now), nil
}

func (s *Scheduler) enqueue(ctx context.Context, t *scheduled, slot time.Time) error {
	task, err := slotPayload{Format: taskFormat, PhoneNumberID: t.PhoneNumberID, Kind: t.kind, Slot: slot.Unix()}.task()
	if err != nil {
		return err
	}
	_, err = s.client.EnqueueContext(ctx, task)
	if errors.Is(err, asynq.ErrTaskIDConflict) { // another worker was faster
		return nil
	}
	return err
}

// recentRuns bounds the runs among which the last one with a plan is looked for.
const recentRuns = 20

// show hands the metrics how a target stands.
func (s *Scheduler) show(ctx context.Context, t *scheduled, now time.Time) {
	runs, err := History(ctx, s.runner.cfg.Redis, t.PhoneNumberID, recentRuns)
	if err != nil {
		return
	}
	good, err := lastGood(ctx, s.runner.cfg.Redis, t.PhoneNumberID)
	if err != nil {
		return
	}
	standing := Standing{Good: good}
	if len(runs) > 0 {
		standing.Last = runs[0]
	}
	if i := slices.IndexFunc(runs, Record.Listed); i >= 0 {
		standing.Planned = runs[i]
	}
	if s.began.IsZero() {
		s.began = now
	}
	if t.kind == kindRun {
		since := s.began
		if !good.EndedAt.IsZero() {
			since = good.EndedAt
		}
		standing.Overdue = t.schedule.Next(t.schedule.Next(since))
	}
	s.metrics.Standing(t.PhoneNumberID, standing)
}

// ProcessTask runs a slot. With again above zero the task must be tried again after that time,
// for the reason given; an error wraps queues.ErrMalformed.
func (s *Scheduler) ProcessTask(ctx context.Context, t *asynq.Task) (again time.Duration, why string, err error) {
	p, err := decodeSlot(t)
	if err != nil {
		return 0, "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	released := make(chan struct{})
	defer close(released)
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-released:
		}
	}()
	done, err := s.isDone(ctx, p)
	if err != nil {
		return busyAgain, "reading which slots are done failed", nil
	}
	if done {
		return 0, "", nil
	}
	target := s.targets[p.PhoneNumberID]
	if target == nil {
		if time.Since(p.time()) > maxSlotAge {
			s.runner.cfg.Logger.Error("reconcile: no worker has the phone number ID in its configuration; a slot was dropped", keyPhoneNumberID, p.PhoneNumberID)
			return 0, "", nil
		}
		return unknownAgain, "this worker does not have the phone number ID in its configuration", nil
	}
	return s.runSlot(ctx, p, target)
}

func (s *Scheduler) isDone(ctx context.Context, p slotPayload) (bool, error) {
	return isDone(ctx, s.runner.cfg.Redis, doneKey(p.PhoneNumberID, p.Kind), p.Slot)
}

func (s *Scheduler) runSlot(ctx context.Context, p slotPayload, t *scheduled) (again time.Duration, why string, err error) {
	var failed error
	if p.Kind == kindRun {
		var res *Result
		if res, failed = s.runner.Run(ctx, t.Target, Options{Apply: true, Trigger: BySchedule, Slot: p.time()}); res != nil {
			s.metrics.Reconciled(res.Record)
		}
	}
	switch {
	case errors.Is(failed, ErrRunning):
		return busyAgain, "another reconciliation of the phone number ID is running", nil
	case ctx.Err() != nil:
		return time.Second, "the worker stops", nil
	}
	// A run that failed is over all the same, once it is written down: the next slot tries
	// anew. Its error is logged, and in the history.
	kept, keptErr := s.runner.Keep(ctx, t.PhoneNumberID)
	s.metrics.Kept(t.PhoneNumberID, kept.Requeued, kept.Forgotten)
	if keptErr != nil && p.Kind == kindKeep {
		if errors.Is(keptErr, ErrRunning) {
			return busyAgain, "a reconciliation of the phone number ID is running", nil
		}
		return busyAgain, "housekeeping of the ledger failed", nil
	}
	if p.Kind == kindKeep {
		_, err := s.runner.cfg.Redis.TxPipelined(ctx, func(tx redis.Pipeliner) error {
			markDone(ctx, tx, doneKey(p.PhoneNumberID, kindKeep), p.Slot)
			return nil
		})
		if err != nil {
			return busyAgain, "Redis failed", nil
		}
	}
	if done, err := s.isDone(ctx, p); err != nil || !done {
		return busyAgain, "the run was interrupted", nil
	}
	return 0, "", nil
}
