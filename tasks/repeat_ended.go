package tasks

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Ended holds a user's request that has ended, and is to be made once more.
type Ended struct {
	User    user.ID
	Version ledger.Version
	// Ends is the end of a timed block in Unix milliseconds, 0 for none.
	Ends int64
	// Standing is as in [Request].
	Standing bool
}

// versionGrace is the time that a producer may take between its version and the ledger, and still win
// over a request that is repeated meanwhile.
const versionGrace = time.Minute

// RepeatVersion returns the version by which requests that have ended are made again, and is to be called before
// it is looked at whether they still should be: whatever is asked for since is newer.
func (p *Producer) RepeatVersion(ctx context.Context, phoneNumberID string, ended []Ended) (ledger.Version, error) {
	v, err := ledger.New(p.rdb, phoneNumberID).NextVersion(ctx)
	v -= ledger.Version(versionGrace.Microseconds())
	for _, e := range ended {
		v = max(v, e.Version+1)
	}
	return v, queues.Explain(err)
}

// terms hold what a request repeats of the one that ended.
type terms struct {
	ends     int64
	standing bool
}

func compareTerms(a, b terms) int {
	switch {
	case a.standing == b.standing:
		return cmp.Compare(a.ends, b.ends)
	case a.standing:
		return 1
	}
	return -1
}

// Repeat makes requests that have ended once more, by r, whose Users, Until and Standing come from them: a job, or
// one for each time at which their blocks end, and for standing ones. Its error may come with jobs that were accepted.
func (p *Producer) Repeat(ctx context.Context, r Request, ended []Ended) ([]Job, error) {
	byTerms := make(map[terms][]user.ID)
	for _, e := range ended {
		t := terms{e.Ends, e.Standing}
		byTerms[t] = append(byTerms[t], e.User)
	}
	var jobs []Job
	for _, t := range slices.SortedFunc(maps.Keys(byTerms), compareTerms) {
		r.Users, r.Until, r.Standing = byTerms[t], time.Time{}, t.standing
		if t.ends > 0 {
			r.Until = time.UnixMilli(t.ends)
		}
		job, err := p.Enqueue(ctx, r)
		if err != nil {
			return jobs, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}
