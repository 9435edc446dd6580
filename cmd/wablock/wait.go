package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/waiting"
)

// How often --wait looks at the ledger, and how long Redis may be away meanwhile.
const (
	waitLeast    = 100 * time.Millisecond
	waitMost     = 2 * time.Second
	waitEffort   = 10 // look no longer than a tenth of the time
	waitRedis    = time.Minute
	waitReport   = 10 * time.Second // between messages where there is no terminal
	waitNoWorker = 5 * time.Second  // without progress, until it looks for workers
)

// waitFlags are the flags of commands that can wait for the end of their jobs.
type waitFlags struct {
	wait    bool
	timeout time.Duration // 0 for none
}

func (w *waitFlags) addWait(f *pflag.FlagSet, usage string) {
	f.BoolVar(&w.wait, "wait", false, usage)
	durationVar(f, &w.timeout, "timeout", 0, "with --wait, wait no longer than this: exit code 1, and the work goes on")
}

func (w *waitFlags) checkWait() error {
	if w.timeout < 0 || w.timeout > 0 && !w.wait {
		return usagef("--timeout goes with --wait, and is from 0 up")
	}
	return nil
}

// waiter waits for the end of jobs.
type waiter struct {
	*cli
	waitFlags
	rdb      redis.UniversalClient
	producer *tasks.Producer
}

// until returns when all users of the jobs have ended; see follow.
func (w *waiter) until(ctx context.Context, jobs ...tasks.Job) (tasks.Progress, error) {
	total := 0
	for _, j := range jobs {
		total += len(j.Users)
	}
	what := amounts.Count(len(jobs), "job") + " go on"
	if len(jobs) == 1 {
		what = "the job " + jobs[0].ID + " goes on"
	}
	var last tasks.JobStatus // of the jobs, as it was seen to wait
	if len(jobs) > 0 {
		last = tasks.JobStatus{ID: jobs[len(jobs)-1].ID, PhoneNumberID: jobs[len(jobs)-1].PhoneNumberID}
	}
	return w.follow(ctx, total, what,
		func(ctx context.Context) (tasks.Progress, error) { return progressOf(ctx, w.producer, jobs) },
		func(ctx context.Context) tasks.JobStatus {
			p, err := tasks.NewProducer(w.rdb, tasks.ProducerConfig{PhoneNumberID: last.PhoneNumberID})
			if err != nil {
				return last
			}
			if now, err := p.Job(ctx, last.ID); err == nil {
				last = now
			}
			return last
		})
}

// untilJob waits for the end of a job that was accepted before; see follow.
func (w *waiter) untilJob(ctx context.Context, j tasks.JobStatus) (tasks.JobStatus, error) {
	_, err := w.follow(ctx, j.Accepted, "the job "+j.ID+" goes on", func(ctx context.Context) (tasks.Progress, error) {
		now, err := w.producer.Job(ctx, j.ID)
		if err == nil {
			j = now
		}
		return tasks.Progress{Succeeded: j.Succeeded, DeadLettered: j.DeadLettered, Superseded: j.Superseded, Pending: j.Pending}, err
	}, func(context.Context) tasks.JobStatus { return j })
	return j, jobError(err, j.ID)
}

// follow looks until no user is pending. Its error says that it was interrupted, that time ran out, that
// Redis stayed away, or that the job is no longer kept; the progress is then the last one seen. Where there is none for a
// while, it says what the job waits for.
func (w *waiter) follow(
	ctx context.Context, total int, goesOn string, look func(context.Context) (tasks.Progress, error), job func(context.Context) tasks.JobStatus,
) (tasks.Progress, error) {
	goesOn += " without this command; `wablock status NUMBER` shows where a number stands"
	last := tasks.Progress{Pending: total}
	show := newMeter(w.cli, total)
	defer show.end()
	limited, stop := ctx, func() {}
	if w.timeout > 0 {
		limited, stop = context.WithTimeout(ctx, w.timeout)
	}
	defer stop()
	seen, moved := time.Now(), time.Now() // a look that succeeded, and one that found progress
	var reasons reasonsSaid
	for {
		start := time.Now()
		now, err := look(limited)
		switch {
		case err == nil:
			if now.Pending < last.Pending {
				moved = start
			}
			last, seen = now, time.Now()
			show.set(now)
			if now.Pending == 0 {
				return now, nil
			}
		case errors.Is(err, tasks.ErrJobNotFound):
			return last, err
		case limited.Err() == nil && time.Since(seen) > waitRedis:
			return last, fmt.Errorf("%w; %s", err, goesOn)
		}
		if time.Since(moved) > waitNoWorker {
			moved = start
			if !reasons.say(w.cli, job(limited)) && sayIfNoWorker(w.cli, w.rdb, "the numbers wait") {
				moved = start.Add(waitRedis) // and not again before long
			}
		}
		if pauseFor(limited, min(max(waitLeast, waitEffort*time.Since(start)), waitMost)) == nil {
			continue
		}
		if ctx.Err() != nil {
			return last, interruptedf("interrupted; %s", goesOn)
		}
		return last, &exitError{code: exitFailed, text: fmt.Sprintf("timeout after %v: %s of %s settled; %s",
			w.timeout, amounts.Thousands(total-last.Pending), amounts.Thousands(total), goesOn)}
	}
}

// reasonsSaid keeps a reason that goes on from being said again before long.
type reasonsSaid struct {
	last waiting.Cause
	at   time.Time
}

// say tells people why a job waits. It reports whether that is known, and something else than a missing worker.
func (r *reasonsSaid) say(c *cli, j tasks.JobStatus) bool {
	if j.WaitingText == "" || j.WaitingFor == waiting.NoWorker {
		return false
	}
	if j.WaitingFor == r.last && time.Since(r.at) < waitRedis {
		return true
	}
	r.last, r.at = j.WaitingFor, time.Now()
	text := j.WaitingText
	if !j.ExpectedAt.IsZero() {
		text += "; expected at " + stamp(j.ExpectedAt)
	}
	c.say("the job %s waits: %s", j.ID, text)
	return true
}

// sayIfNoWorker says that no worker runs, if that is so, and what follows from it.
func sayIfNoWorker(c *cli, rdb redis.UniversalClient, what string) bool {
	servers, err := asynq.NewInspectorFromRedisClient(rdb).Servers()
	if err != nil || len(servers) > 0 {
		return false // a Redis that fails is reported by the others that use it
	}
	c.say("no worker is running: %s until one is started with `wablock worker`", what)
	return true
}

func progressOf(ctx context.Context, p *tasks.Producer, jobs []tasks.Job) (tasks.Progress, error) {
	var sum tasks.Progress
	for _, j := range jobs {
		one, err := p.Progress(ctx, j.PhoneNumberID, j.Version, j.Users)
		if err != nil {
			return sum, err
		}
		sum.Succeeded += one.Succeeded
		sum.DeadLettered += one.DeadLettered
		sum.Superseded += one.Superseded
		sum.Pending += one.Pending
		sum.Window += one.Window
	}
	return sum, nil
}

// deadError is the error of a job that was waited for, nil when nothing of it was dead-lettered.
func deadError(p tasks.Progress) error {
	if p.DeadLettered == 0 {
		return nil
	}
	return partlyf("%s dead-lettered; `wablock dead-letter list` says why", amounts.Count(p.DeadLettered, "number"))
}

// meter shows progress to people.
type meter interface {
	set(tasks.Progress)
	end()
}

func newMeter(c *cli, total int) meter {
	if !c.onTerminal() {
		return &lines{c: c, total: total, said: time.Now()}
	}
	w := progress.NewWriter()
	w.SetOutputWriter(c.err)
	w.SetAutoStop(false)
	w.SetUpdateFrequency(waitLeast)
	w.SetStyle(progress.StyleBlocks)
	w.Style().Visibility.Value = true
	w.Style().Options.PercentFormat = "%3.0f%%"
	t := &progress.Tracker{Message: "settled", Total: int64(total)}
	w.AppendTracker(t)
	b := &bar{w: w, t: t, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		w.Render()
	}()
	return b
}

// bar is a progress bar on a terminal.
type bar struct {
	w    progress.Writer
	t    *progress.Tracker
	done chan struct{}
}

func (b *bar) set(p tasks.Progress) {
	b.t.SetValue(b.t.Total - int64(p.Pending))
	b.t.UpdateMessage(summary(p))
	if p.Pending == 0 {
		b.t.MarkAsDone()
	}
}

func (b *bar) end() {
	b.w.Stop()
	<-b.done
}

// lines shows progress in a log.
type lines struct {
	c     *cli
	total int
	said  time.Time
}

func (l *lines) set(p tasks.Progress) {
	if p.Pending > 0 && time.Since(l.said) < waitReport {
		return
	}
	l.said = time.Now()
	l.c.say("%s of %s settled: %s", amounts.Thousands(l.total-p.Pending), amounts.Thousands(l.total), summary(p))
}

func (l *lines) end() {}

func summary(p tasks.Progress) string {
	s := amounts.Thousands(p.Succeeded) + " succeeded"
	if p.DeadLettered > 0 {
		s += ", " + amounts.Thousands(p.DeadLettered) + " dead-lettered"
	}
	if p.Superseded > 0 {
		s += ", " + amounts.Thousands(p.Superseded) + " superseded"
	}
	return s
}
