package simulator

import (
	"fmt"
	"time"
)

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Duration is a time.Duration that scenarios write as people do: "150ms", "24h".
type Duration time.Duration

// MarshalText writes it as [time.Duration.String] does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what [time.ParseDuration] reads. None of a scenario's durations may be
// negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration: write 150ms, 2s or 24h", text)
	}
	*d = Duration(v)
	return nil
}
