package redislimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
)

//go:embed lua/take.lua
var takeSource string

//go:embed lua/cancel.lua
var cancelSource string

//go:embed lua/load.lua
var loadSource string

//go:embed lua/store.lua
var storeSource string

// stateTTL is the time that an unused limit is remembered.
const stateTTL = 30 * 24 * time.Hour

// bucket is one limit in Redis and how it starts.
type bucket struct {
	key     string
	set     ratelimit.Settings
	initial func(ratelimit.Instant, ratelimit.Settings) ratelimit.State
}

// record holds all that Redis knows of one limit.
type record struct {
	now     ratelimit.Instant
	state   ratelimit.State
	count   ratelimit.Counters
	version int64
	fields  ratelimit.Fields
}

// store runs the scripts. Safe for concurrent use.
type store struct {
	rdb                       redis.UniversalClient
	take, cancel, load, write *redis.Script
}

func newStore(rdb redis.UniversalClient) store {
	return store{
		rdb: rdb, take: redis.NewScript(takeSource), cancel: redis.NewScript(cancelSource),
		load: redis.NewScript(loadSource), write: redis.NewScript(storeSource),
	}
}

// ask asks each bucket for one call and tells it its tally, in one round trip; again with the script's text where Redis
// does not know it yet. The keys may lie in different cluster slots: each answer has an error of its own.
func (s store) ask(ctx context.Context, buckets []bucket, told []tally) ([]ratelimit.Answer, []error) {
	cmds := make([]*redis.Cmd, len(buckets))
	args := func(i int) []any { return buckets[i].takeArgs(told[i]) }
	if len(buckets) == 1 {
		cmds[0] = s.take.Run(ctx, s.rdb, []string{buckets[0].key}, args(0)...)
	} else {
		_, _ = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // its error is that of one of the commands
			for i, b := range buckets {
				cmds[i] = s.take.EvalSha(ctx, p, []string{b.key}, args(i)...)
			}
			return nil
		})
		for i, b := range buckets {
			if redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
				cmds[i] = s.take.Eval(ctx, s.rdb, []string{b.key}, args(i)...)
			}
		}
	}
	answers, errs := make([]ratelimit.Answer, len(buckets)), make([]error, len(buckets))
	for i, cmd := range cmds {
		answers[i], errs[i] = readAnswer(cmd)
	}
	return answers, errs
}

func (b bucket) takeArgs(told tally) []any {
	start := ratelimit.Encode(b.initial(0, b.set), 0, b.set)
	return []any{
		ratelimit.MicroRate(b.set.Rate), b.set.Burst, b.set.MaxUsers,
		start[ratelimit.FieldPace], start[ratelimit.FieldProbe], start[ratelimit.FieldEvery],
		told.served, told.retryTokens, int(stateTTL.Seconds()),
	}
}

func readAnswer(cmd *redis.Cmd) (ratelimit.Answer, error) {
	v, err := cmd.Int64Slice()
	if err != nil {
		return ratelimit.Answer{}, err
	}
	if len(v) != 9 {
		return ratelimit.Answer{}, fmt.Errorf("take.lua returned %d values, not 9", len(v))
	}
	return ratelimit.Answer{
		Reason: ratelimit.Reason(v[0]), Wait: time.Duration(v[1]) * time.Microsecond, Users: int(v[2]),
		Retry: time.Duration(v[3]) * time.Microsecond,
		Stamp: ratelimit.Stamp{
			Epoch: v[4], Probe: v[5] == 1, Trial: int(v[6]), Due: v[7] == 1, Taken: v[0] == 0, Retry: v[8] == 1,
		},
	}, nil
}

// giveBack returns what a bucket gave for a call that is not made.
func (s store) giveBack(ctx context.Context, key string, st ratelimit.Stamp) error {
	if !st.Taken {
		return nil
	}
	return s.cancel.Run(ctx, s.rdb, []string{key},
		flag(st.Probe), flag(st.Trial > 0), flag(st.Due), flag(st.Retry)).Err()
}

// read tells Redis a tally, frees the place of the probe or trial that has come back, and returns what Redis holds.
func (s store) read(ctx context.Context, b bucket, st ratelimit.Stamp, told tally) (record, error) {
	reply, err := s.load.Run(ctx, s.rdb, []string{b.key},
		told.served, told.retryTokens, flag(st.Probe), flag(st.Trial > 0), int(stateTTL.Seconds())).Slice()
	if err != nil {
		return record{}, err
	}
	if len(reply) != 2 {
		return record{}, fmt.Errorf("load.lua returned %d values, not 2", len(reply))
	}
	text, _ := reply[0].(string)
	now, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return record{}, errors.New("load.lua returned no time")
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
	if r.version > 0 {
		r.state = ratelimit.Decode(fields)
		return r, nil
	}
	born := r.now // only counted until now
	if at := fields["born"]; at > 0 {
		born = ratelimit.Instant(at)
	}
	r.state = b.initial(born, b.set)
	return r, nil
}

// replace stores the state that follows r, unless another process was faster.
func (s store) replace(ctx context.Context, b bucket, r record, next ratelimit.State) (stored bool, err error) {
	fields := ratelimit.Encode(next, r.now, b.set)
	args := make([]any, 0, 3+2*len(fields))
	tokens, restart := ratelimit.Restart(r.state, next)
	if !restart {
		tokens = -1
	}
	args = append(args, r.version, tokens, int(stateTTL.Seconds()))
	for name, value := range fields {
		args = append(args, name, value)
	}
	n, err := s.write.Run(ctx, s.rdb, []string{b.key}, args...).Int()
	return n == 1, err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
