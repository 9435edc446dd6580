package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// keepSchedule is when a phone number ID without a schedule has its ledger kept.
const keepSchedule = "@hourly"

// The rhythm of a scheduler.
const (
	longestTick  = 15 * time.Second // between looks at the clock, and at what others ran
	busyAgain    = 10 * time.Second // until a slot is tried again while another run is on
	unknownAgain = 20 * time.Second // until another worker may know the phone number ID
	slotPatience = 24 * time.Hour   // after which a slot that nobody can run is let go
)

// Scheduled is a target that is reconciled by a schedule.
type Scheduled struct {
	Target
	// Schedule is a cron expression in UTC; "" keeps the ledger once an hour, and does no
	// more.
	Schedule string
}

// Scheduler enqueues a task for each slot of its schedules, and runs such tasks. Every worker
// has one; each slot is run once all the same.
type Scheduler struct {
	runner  *Runner
	client  *asynq.Client
	targets map[string]*scheduled

	stop     chan struct{} // closed when Run's context has ended
	stopOnce sync.Once
}

type scheduled struct {
	Target
	schedule Schedule
	kind     kind
}

// NewScheduler returns a Scheduler of some phone number IDs.
func NewScheduler(r *Runner, targets []Scheduled) (*Scheduler, error) {
	s := &Scheduler{
		runner: r, client: asynq.NewClientFromRedisClient(r.cfg.Redis), targets: map[string]*scheduled{}, stop: make(chan struct{}),
	}
	for _, t := range targets {
		k := kindRun
		if t.Schedule == "" {
			t.Schedule, k = keepSchedule, kindKeep
		}
		schedule, err := ParseSchedule(t.Schedule)
		if err != nil {
			return nil, fmt.Errorf("phone number ID %s: %w", t.PhoneNumberID, err)
		}
		if _, again := s.targets[t.PhoneNumberID]; again {
			return nil, fmt.Errorf("reconcile: phone number ID %s is scheduled twice", t.PhoneNumberID)
		}
		s.targets[t.PhoneNumberID] = &scheduled{Target: t.Target, schedule: schedule, kind: k}
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
				s.runner.cfg.Logger.Error("reconcile: the schedule could not be looked at; trying again", keyPhoneNumberID, id, keyError, err.Error())
				continue
			}
			wait = min(wait, next)
		}
		if pauseFor(ctx, max(wait, 10*time.Millisecond)) != nil {
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
	s.show(ctx, t.PhoneNumberID)
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

// show tells the metrics what ran last, wherever that was.
func (s *Scheduler) show(ctx context.Context, phoneNumberID string) {
	runs, err := History(ctx, s.runner.cfg.Redis, phoneNumberID, 1)
	if err != nil || len(runs) == 0 {
		return
	}
	good, err := lastGood(ctx, s.runner.cfg.Redis, phoneNumberID)
	if err == nil {
		s.runner.cfg.Metrics.LastRun(phoneNumberID, runs[0], good)
	}
}

// ProcessTask runs a slot. With again above zero the task is to be tried again after that
// time, for the reason given; an error wraps tasks.ErrMalformed.
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
		return busyAgain, "Redis did not tell what was run", nil
	}
	if done {
		return 0, "", nil
	}
	target := s.targets[p.PhoneNumberID]
	if target == nil {
		if time.Since(p.time()) > slotPatience {
			s.runner.cfg.Logger.Error("reconcile: no worker has the phone number ID in its configuration; a slot was let go", keyPhoneNumberID, p.PhoneNumberID)
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
		_, failed = s.runner.Run(ctx, t.Target, Options{Apply: true, Trigger: BySchedule, Slot: p.time()})
	}
	switch {
	case errors.Is(failed, ErrRunning):
		return busyAgain, "another reconciliation of the phone number ID is running", nil
	case ctx.Err() != nil:
		return time.Second, "the worker stops", nil
	}
	// A run that failed is over all the same, once it is written down: the next slot tries
	// anew. Its error is logged, and in the history.
	if kept := s.runner.Keep(ctx, t.PhoneNumberID); kept != nil && p.Kind == kindKeep {
		if errors.Is(kept, ErrRunning) {
			return busyAgain, "a reconciliation of the phone number ID is running", nil
		}
		return busyAgain, "the ledger could not be kept", nil
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
		return busyAgain, "the run could not be brought to its end", nil
	}
	return 0, "", nil
}
