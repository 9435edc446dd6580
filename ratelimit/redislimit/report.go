package redislimit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wablock/wablock/ratelimit"
)

// tally counts reports that Redis has not been told of. What a process that dies has not told is lost: the law then
// measures a little less goodput for one step. So is what nobody came to tell for tallyLife, when it is swept.
type tally struct {
	served      int64
	retryTokens int64     // see ratelimit.RetryTokens
	at          time.Time // of the last report; zero when there was none
}

// tallyLife is how long an untold report may matter: by then the retry budget has filled up again.
const tallyLife = time.Minute

func (t tally) stale(now time.Time) bool { return now.Sub(t.at) > tallyLife }

func (l *Limiter) count(key string, st ratelimit.Stamp, o ratelimit.Observation) {
	l.restore(key, tally{served: int64(flag(o.Served)), retryTokens: ratelimit.RetryTokens(st, o), at: l.now()})
}

// collect takes what is to be told of key; restore puts it back when the telling failed.
func (l *Limiter) collect(key string) tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tallies.entries[key]
	delete(l.tallies.entries, key)
	return t
}

func (l *Limiter) restore(key string, t tally) {
	if t.at.IsZero() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.tallies.entries[key]
	t.served, t.retryTokens = t.served+have.served, t.retryTokens+have.retryTokens
	if have.at.After(t.at) {
		t.at = have.at
	}
	l.tallies.put(key, t, l.now())
}

// Report implements [ratelimit.Limiter].
func (l *Limiter) Report(ctx context.Context, key ratelimit.Key, g ratelimit.Grant, o ratelimit.Observation) error {
	err := l.report(ctx, l.phone(key.PhoneNumberID), g.Phone, o.ForPhone())
	if key.Account != "" {
		err = errors.Join(err, l.report(ctx, account(key.Account), g.Account, o.ForAccount()))
	}
	if err != nil {
		return fmt.Errorf("redislimit: report: %w", err)
	}
	return nil
}

func (l *Limiter) report(ctx context.Context, t target, st ratelimit.Stamp, o ratelimit.Observation) error {
	l.count(t.key, st, o)
	if !ratelimit.Matters(st, o) {
		return nil
	}
	jitter := l.jitter()
	return l.change(ctx, t, st, func(s ratelimit.State, c ratelimit.Counters, now ratelimit.Instant) ratelimit.State {
		return ratelimit.Next(s, ratelimit.EventOf(st, o, c, jitter), now, t.set)
	})
}

// maxConflicts bounds how often a change is computed anew because another process was faster.
const maxConflicts = 10

// errContended is returned when others were faster every time; what was to be reported is then known from them.
var errContended = errors.New("state kept changing under the update")

// change loads a state, lets do compute the next, and stores it, as one step seen from outside.
func (l *Limiter) change(
	ctx context.Context, t target, st ratelimit.Stamp,
	do func(ratelimit.State, ratelimit.Counters, ratelimit.Instant) ratelimit.State,
) error {
	for range maxConflicts {
		told := l.collect(t.key)
		r, err := l.load(ctx, t, st, told)
		if err != nil {
			return err
		}
		next := do(r.state, r.count, r.now)
		stored, err := l.store(ctx, t, r, next)
		if err != nil || stored {
			return err
		}
	}
	return errContended
}

// record is all that Redis holds of one limit.
type record struct {
	now     ratelimit.Instant
	state   ratelimit.State
	count   ratelimit.Counters
	version int64
	fields  ratelimit.Fields
}

// load tells what is told and reads what Redis holds; a tally that it could not tell is put back.
func (l *Limiter) load(ctx context.Context, t target, st ratelimit.Stamp, told tally) (record, error) {
	reply, err := l.scripts.load.Run(ctx, l.rdb, []string{t.key},
		told.served, told.retryTokens, flag(st.Probe), flag(st.Trial > 0), int(stateTTL.Seconds())).Slice()
	if err != nil {
		l.restore(t.key, told)
		return record{}, err
	}
	return readRecord(reply, t)
}

func readRecord(reply []any, t target) (record, error) {
	if len(reply) != 2 {
		return record{}, fmt.Errorf("script returned %d values, not 2", len(reply))
	}
	text, _ := reply[0].(string)
	now, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return record{}, errors.New("script returned no time")
	}
	pairs, _ := reply[1].([]any)
	flat := make([]string, len(pairs))
	for i, p := range pairs {
		flat[i], _ = p.(string)
	}
	fields, err := ratelimit.ParseFields(flat)
	if err != nil {
		return record{}, err
	}
	r := record{
		now: ratelimit.Instant(now), fields: fields, version: fields["version"],
		count: ratelimit.Counters{Taken: fields["taken"], Served: fields["served"]},
	}
	if r.version == 0 { // only counted until now
		born := r.now
		if at := fields["born"]; at > 0 {
			born = ratelimit.Instant(at)
		}
		r.state = t.initial(born, t.set)
	} else {
		r.state = ratelimit.Decode(fields)
	}
	return r, nil
}

func (l *Limiter) store(ctx context.Context, t target, r record, next ratelimit.State) (bool, error) {
	fields := next.Encode(r.now, t.set)
	args := make([]any, 0, 3+2*len(fields))
	args = append(args, r.version, flag(ratelimit.Restarts(r.state, next)), int(stateTTL.Seconds()))
	for name, value := range fields {
		args = append(args, name, value)
	}
	stored, err := l.scripts.store.Run(ctx, l.rdb, []string{t.key}, args...).Int()
	return stored == 1, err
}
