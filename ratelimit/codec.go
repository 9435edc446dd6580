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
	FieldPaused = "paused" // no call goes before this time
	FieldProbe  = "probe"  // 1 when calls go one at a time
	FieldEpoch  = "epoch"
	FieldStated = "stated" // 1 when the API named the end of the pause
	FieldSize   = "size"   // users per call, 0 as configured
	FieldTrial  = "trial"  // size one call may try, 0 none
	FieldEvery  = "every"  // microseconds between steps
)

// Encode writes a state as fields, with what the bucket needs of it at this moment.
func Encode(s State, now Instant, set Settings) Fields {
	f := Fields{
		FieldPace:  MicroRate(s.Pace(now)),
		FieldTrial: int64(s.trial(now, set)),
		FieldEvery: s.every(set).Microseconds(),
	}
	for _, c := range columnsOf(&s) {
		f[c.name] = c.get()
	}
	return f
}

// Decode reads what Encode wrote. Fields of other names are passed over.
func Decode(f Fields) State {
	var s State
	for _, c := range columnsOf(&s) {
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
			return nil, fmt.Errorf("ratelimit: read state: field %q is not an integer", flat[i])
		}
		f[flat[i]] = n
	}
	return f, nil
}

// column is one field of a state.
type column struct {
	name string
	get  func() int64
	set  func(int64)
}

func columnsOf(s *State) []column {
	return []column{
		intColumn(FieldPaused, &s.PausedUntil),
		boolColumn(FieldProbe, &s.Probe),
		intColumn(FieldEpoch, &s.Epoch),
		intColumn(FieldSize, &s.Batch.Size),
		boolColumn(FieldStated, &s.Stated),
		rateColumn("rate", &s.Rate),
		rateColumn("anchor", &s.Anchor),
		rateColumn("recent", &s.Recent),
		rateColumn("gain", &s.Gain),
		rateColumn("steady", &s.Steady),
		rateColumn("pin", &s.Pin),
		rateColumn("cap", &s.Cap),
		intColumn("since", &s.Since),
		intColumn("hold", &s.RestUntil),
		intColumn("pause_from", &s.PausedFrom),
		intColumn("spent_at", &s.SpentAt),
		intColumn("refused_at", &s.RefusedAt),
		intColumn("wary", &s.Wary),
		intColumn("strikes", &s.Strikes),
		intColumn("fell_at", &s.FellAt),
		intColumn("window_seen", &s.WindowSeen),
		intColumn("quota", &s.Quota),
		intColumn("window_at", &s.WindowAt),
		intColumn("served_at_window", &s.ServedAtWindow),
		intColumn("step_at", &s.StepAt),
		intColumn("usage_at", &s.UsageAt),
		intColumn("users_retry_at", &s.Batch.RetryAt),
		intColumn("failures", &s.Failures),
		intColumn("backoff", &s.Backoff),
		intColumn("usage", &s.Usage),
		intColumn("users_proven", &s.Batch.Proven),
		intColumn("users_refused", &s.Batch.Refused),
		intColumn("served_at_since", &s.ServedAtSince),
		intColumn("served_at_step", &s.ServedAtStep),
		intColumn("taken_at_step", &s.TakenAtStep),
		intColumn("limit_errors", &s.LimitErrors),
		boolColumn("settled", &s.Settled),
		boolColumn("users_sure", &s.Batch.Sure),
		timeColumn("push", &s.Push),
		timeColumn("round_trip", &s.RoundTrip),
		timeColumn("window_length", &s.Window),
		timeColumn("spread_length", &s.Spread),
	}
}

func rateColumn(name string, p *float64) column {
	return column{name, func() int64 { return MicroRate(*p) }, func(n int64) { *p = float64(n) / micro }}
}

func timeColumn(name string, p *time.Duration) column {
	return column{name, p.Microseconds, func(n int64) { *p = time.Duration(n) * time.Microsecond }}
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
