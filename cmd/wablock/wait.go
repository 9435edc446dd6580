package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"github.com/wablock/wablock/tasks"
)

// How often --wait looks at the ledger, and how long Redis may be away meanwhile.
const (
	waitLeast   = 100 * time.Millisecond
	waitMost    = 2 * time.Second
	waitEffort  = 10 // look no longer than a tenth of the time
	waitPatient = time.Minute
	waitReport  = 10 * time.Second // between messages where there is no terminal
)

// wait returns when all users of the jobs have ended. Its error says that it was interrupted,
// or that Redis stayed away; the progress is then the last one seen.
func wait(ctx context.Context, c *cli, p *tasks.Producer, jobs ...tasks.Job) (tasks.Progress, error) {
	last := tasks.Progress{}
	for _, j := range jobs {
		last.Pending += len(j.Users)
	}
	show := newMeter(c, last.Pending)
	defer show.end()
	seen := time.Now()
	for {
		start := time.Now()
		now, err := progressOf(ctx, p, jobs)
		switch {
		case err == nil:
			last, seen = now, time.Now()
			show.set(now)
			if now.Pending == 0 {
				return now, nil
			}
		case ctx.Err() == nil && time.Since(seen) > waitPatient:
			return last, fmt.Errorf("%w; %s", err, goesOn(jobs))
		}
		if pauseFor(ctx, min(max(waitLeast, waitEffort*time.Since(start)), waitMost)) != nil {
			return last, interruptedf("interrupted; %s", goesOn(jobs))
		}
	}
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
	}
	return sum, nil
}

func goesOn(jobs []tasks.Job) string {
	what := "the job " + jobs[0].ID + " goes on"
	if len(jobs) > 1 {
		what = count(len(jobs), "job") + " go on"
	}
	return what + " without this command; `wablock status NUMBER` shows where a number stands"
}

// deadError is the error of a job that was waited for, nil when nothing of it was dead-lettered.
func deadError(p tasks.Progress) error {
	if p.DeadLettered == 0 {
		return nil
	}
	return partlyf("%s dead-lettered; `wablock dead-letter list` says why", count(p.DeadLettered, "number"))
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
	l.c.say("%s of %s settled: %s", thousands(l.total-p.Pending), thousands(l.total), summary(p))
}

func (l *lines) end() {}

func summary(p tasks.Progress) string {
	s := thousands(p.Succeeded) + " succeeded"
	if p.DeadLettered > 0 {
		s += ", " + thousands(p.DeadLettered) + " dead-lettered"
	}
	if p.Superseded > 0 {
		s += ", " + thousands(p.Superseded) + " superseded"
	}
	return s
}
