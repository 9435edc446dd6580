package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Action is what became of an entry that was to be redriven.
type Action string

// The actions. An entry is Obsolete when its user succeeded since or is wanted in a newer
// request: it is discarded. A malformed task that still can't be read is Refused, and stays.
const (
	Redriven Action = "redriven"
	Obsolete Action = "obsolete"
	Refused  Action = "refused"
)

// RedriveOptions tune Redrive; the zero value redrives.
type RedriveOptions struct {
	// DryRun changes nothing, and reports what would be done.
	DryRun bool
	// Queue is as in [Request].
	Queue ledger.Queue
	// Each, if set, is told of each entry; reason says why one was refused.
	Each func(e Letter, a Action, reason string)
}

// RedriveReport counts what Redrive did.
type RedriveReport struct {
	Redriven, Obsolete, Refused int
	// Jobs carry the redriven users, at most 1,000 each; none in a dry run.
	Jobs []tasks.Job
}

// ErrRefused is wrapped by RedriveTask's error over a malformed task that still can't be read.
var ErrRefused = errors.New("the task is still malformed: discard it")

// Redrive asks again for what the entries that pass f asked for, as new versions, and then
// deletes them. After an error it is safe to repeat: entries that were redriven, but not yet
// deleted, are obsolete then. The report counts what was done until then.
func (d *Queue) Redrive(ctx context.Context, p *tasks.Producer, f Filter, o RedriveOptions) (RedriveReport, error) {
	r := &redriving{d: d, p: p, o: o, groups: make(map[group][]Letter)}
	if err := r.run(ctx, f); err != nil {
		return r.report, fmt.Errorf("tasks: redrive: %w", err)
	}
	return r.report, nil
}

// group is what the users of one job share.
type group struct {
	phoneNumberID string
	operation     ledger.Operation
}

// redriving is one run of Redrive.
type redriving struct {
	d      *Queue
	p      *tasks.Producer
	o      RedriveOptions
	groups map[group][]Letter
	report RedriveReport
}

// run gathers users until they fill a task, so that a filter that lets few through does not
// make a job of each.
func (r *redriving) run(ctx context.Context, f Filter) error {
	for e, err := range r.d.All(ctx, f) {
		if err != nil {
			return err
		}
		if e.Malformed != nil {
			if err := r.malformed(ctx, e); err != nil {
				return err
			}
			continue
		}
		g := group{e.PhoneNumberID, e.Operation}
		r.groups[g] = append(r.groups[g], e)
		if len(r.groups[g]) == queues.MaxUsersPerTask {
			if err := r.flush(ctx, g); err != nil {
				return err
			}
		}
	}
	for g := range r.groups {
		if err := r.flush(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (r *redriving) flush(ctx context.Context, g group) error {
	entries := r.groups[g]
	delete(r.groups, g)
	var v ledger.Version
	if !r.o.DryRun {
		var err error
		if v, err = r.d.versionOf(ctx, g.phoneNumberID, entries); err != nil {
			return err
		}
	}
	live, obsolete, err := r.d.sift(ctx, g.phoneNumberID, entries)
	if err != nil {
		return err
	}
	if !r.o.DryRun {
		if len(live) > 0 {
			job, err := r.d.enqueueAgain(ctx, r.p, g, live, v, r.o.Queue)
			if err != nil {
				return err
			}
			r.report.Jobs = append(r.report.Jobs, job)
		}
		if err := r.d.dropEntries(ctx, g.phoneNumberID, entries); err != nil {
			return err
		}
	}
	r.tell(live, Redriven, "")
	r.tell(obsolete, Obsolete, "")
	r.report.Redriven += len(live)
	r.report.Obsolete += len(obsolete)
	return nil
}

func (r *redriving) tell(entries []Letter, a Action, reason string) {
	if r.o.Each == nil {
		return
	}
	for _, e := range entries {
		r.o.Each(e, a, reason)
	}
}

func (r *redriving) malformed(ctx context.Context, e Letter) error {
	payload, reason := readable(e.Malformed)
	if reason != "" {
		r.report.Refused++
		r.tell([]Letter{e}, Refused, reason)
		return nil
	}
	if !r.o.DryRun {
		if err := r.d.enqueueOriginal(ctx, r.p, e.Malformed, payload); err != nil {
			return err
		}
		if err := r.d.deleteTasks(ctx, []string{e.ID}); err != nil {
			return err
		}
	}
	r.report.Redriven++
	r.tell([]Letter{e}, Redriven, "")
	return nil
}

// sift parts the entries that the ledger still holds dead from those that are obsolete.
func (d *Queue) sift(ctx context.Context, phoneNumberID string, entries []Letter) (live, obsolete []Letter, err error) {
	users := make([]user.ID, len(entries))
	for i, e := range entries {
		users[i] = e.User
	}
	states, err := ledger.New(d.rdb, phoneNumberID).Entries(ctx, users)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range states {
		ended := s.Version == entries[i].Version && (s.State == ledger.Succeeded || s.State == ledger.Discarded)
		if s.Version > entries[i].Version || ended {
			obsolete = append(obsolete, entries[i])
		} else {
			live = append(live, entries[i])
		}
	}
	return live, obsolete, nil
}

// redriveYield is how long a producer may take between its version and the ledger, and still win
// over a redrive that it comes across.
const redriveYield = time.Minute

// versionOf returns the version by which entries are asked for again, and is to be called before
// it is looked at whether they still should be: whatever is asked for since is newer.
func (d *Queue) versionOf(ctx context.Context, phoneNumberID string, entries []Letter) (ledger.Version, error) {
	v, err := ledger.New(d.rdb, phoneNumberID).NextVersion(ctx)
	v -= ledger.Version(redriveYield.Microseconds())
	for _, e := range entries {
		v = max(v, e.Version+1)
	}
	return v, queues.Explain(err)
}

func (d *Queue) enqueueAgain(ctx context.Context, p *tasks.Producer, g group, entries []Letter, v ledger.Version, q ledger.Queue) (tasks.Job, error) {
	users := make([]user.ID, len(entries))
	for i, e := range entries {
		users[i] = e.User
	}
	return p.Enqueue(ctx, tasks.Request{Operation: g.operation, PhoneNumberID: g.phoneNumberID, Users: users, Queue: q, Version: v})
}

// dropEntries deletes entries of one phone number ID as they were read, by their own IDs: so
// those go too that were put under a key of the hashes that is lost. What died again meanwhile
// comes back.
func (d *Queue) dropEntries(ctx context.Context, phoneNumberID string, entries []Letter) error {
	h, err := d.hasher(ctx)
	if err != nil {
		return err
	}
	users, ids := make([]user.ID, len(entries)), make([]string, len(entries))
	have := make(map[user.ID]ledger.Version, len(entries))
	for i, e := range entries {
		users[i], ids[i] = e.User, e.ID
		have[e.User] = 0
	}
	if err := d.drop(ctx, phoneNumberID, users, ids); err != nil {
		return err
	}
	return d.align(ctx, h, phoneNumberID, have)
}
