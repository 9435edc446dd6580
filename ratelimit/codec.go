package ratelimit

import (
	"fmt"
	"strconv"
	"time"
)

// Fields is a state as integers by name, the form in which it is shared. Rates are in millionths of a call a second,
// times in microseconds. Absent fields are zero, so that an older state can be read by a newer program and the other way
// round.
type Fields map[string]int64

// Names of the fields that the scripts of redislimit read; the others are known to this file alone.
const (
	FieldPace   = "pace"   // rate that holds, in microcalls a second
	FieldPaused = "paused" // nobody calls before this time
	FieldProbe  = "probe"  // 1 when calls go one at a time
	FieldEpoch  = "epoch"
	FieldSize   = "size"  // users per call, 0 as configured
	FieldTrial  = "trial" // size one call may try, 0 none
	FieldEvery  = "every" // microseconds between steps
)

// Encode writes a state as fields, with what the bucket needs of it at this moment.
func (s State) Encode(now Instant, set Settings) Fields {
	v := viewOf(s, now, set)
	f := Fields{
		FieldPace: v.pace, FieldPaused: int64(v.pausedUntil), FieldProbe: flag(v.probe), FieldEpoch: v.epoch,
		FieldSize: int64(v.size), FieldTrial: int64(v.trial), FieldEvery: v.every,
	}
	for _, c := range s.columns() {
		f[c.name] = c.get()
	}
	return f
}

// Decode reads what Encode wrote. Fields of other names are passed over.
func Decode(f Fields) State {
	var s State
	s.PausedUntil = Instant(f[FieldPaused])
	s.Probe = f[FieldProbe] != 0
	s.Epoch = f[FieldEpoch]
	s.Users.Size = int(f[FieldSize])
	for _, c := range s.columns() {
		c.set(f[c.name])
	}
	return s
}

// ParseFields reads alternating names and decimal integers, as Redis returns a hash.
func ParseFields(flat []string) (Fields, error) {
	if len(flat)%2 != 0 {
		return nil, fmt.Errorf("ratelimit: read state: %d names and values do not pair up", len(flat))
	}
	f := make(Fields, len(flat)/2)
	for i := 0; i < len(flat); i += 2 {
		n, err := strconv.ParseInt(flat[i+1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("ratelimit: read state: field %q is no integer", flat[i])
		}
		f[flat[i]] = n
	}
	return f, nil
}

// column is one field of a state that only the law reads.
type column struct {
	name string
	get  func() int64
	set  func(int64)
}

func (s *State) columns() []column {
	return []column{
		rateColumn("rate", &s.Rate),
		rateColumn("anchor", &s.Anchor),
		rateColumn("recent", &s.Recent),
		rateColumn("pin", &s.Pin),
		rateColumn("cap", &s.Cap),
		intColumn("since", &s.Since),
		intColumn("hold", &s.Hold),
		intColumn("step_at", &s.StepAt),
		intColumn("usage_at", &s.UsageAt),
		intColumn("users_retry_at", &s.Users.RetryAt),
		intColumn("failures", &s.Failures),
		intColumn("backoff", &s.Backoff),
		intColumn("usage", &s.Usage),
		intColumn("users_proven", &s.Users.Proven),
		intColumn("users_refused", &s.Users.Refused),
		intColumn("served_at_since", &s.ServedAtSince),
		intColumn("served_at_step", &s.ServedAtStep),
		intColumn("taken_at_step", &s.TakenAtStep),
		intColumn("limit_errors", &s.LimitErrors),
		boolColumn("settled", &s.Settled),
		boolColumn("stated", &s.Stated),
		boolColumn("users_sure", &s.Users.Sure),
		{"push", func() int64 { return s.Push.Microseconds() }, func(n int64) { s.Push = time.Duration(n) * time.Microsecond }},
	}
}

func rateColumn(name string, p *float64) column {
	return column{name, func() int64 { return MicroRate(*p) }, func(n int64) { *p = float64(n) / micro }}
}

func intColumn[T ~int | ~int64](name string, p *T) column {
	return column{name, func() int64 { return int64(*p) }, func(n int64) { *p = T(n) }}
}

func boolColumn(name string, p *bool) column {
	return column{name, func() int64 { return flag(*p) }, func(n int64) { *p = n != 0 }}
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
