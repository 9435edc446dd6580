package schedule

import (
	"cmp"
	"errors"
	"regexp"
	"strconv"
	"time"
)

var daysForm = regexp.MustCompile(`^(\d{1,6})d(.*)$`)

var errDuration = errors.New("not a duration such as 90s, 36h, 7d or 1d12h")

// ParseDuration reads a duration, which may have days: 36h, 7d, 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	var days time.Duration
	rest := s
	if m := daysForm.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, errDuration
		}
		if days, rest = time.Duration(n)*24*time.Hour, cmp.Or(m[2], "0s"); days/(24*time.Hour) != time.Duration(n) {
			return 0, errDuration
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || days > 0 && (d < 0 || days+d < days || rest[0] == '+') {
		return 0, errDuration
	}
	return days + d, nil
}
