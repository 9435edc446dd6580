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

//go:embed lua/load.lua
var loadSource string

//go:embed lua/store.lua
var storeSource string

// stateTTL is the time that an unused limit is remembered.
const stateTTL = 30 * 24 * time.Hour

// record holds all that Redis knows of one limit.
type record struct {
	now     ratelimit.Instant
	state   ratelimit.State
	count   ratelimit.Counters
	version int64
	fields  ratelimit.Fields
}

// store reads and replaces what is learnt of a limit. Safe for concurrent use.
type store struct {
	rdb         redis.UniversalClient
	load, write *redis.Script
}

func newStore(rdb redis.UniversalClient) store {
	return store{rdb: rdb, load: redis.NewScript(loadSource), write: redis.NewScript(storeSource)}
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
