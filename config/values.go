package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/wablock/wablock/config/schedule"
)

// value is a plain value as it was written, so that IDs keep all their digits. A key without a
// value gives the zero value, as one that is left out.
type value struct {
	text string
	line int
}

// notPlain is the error of a value that is a list or a mapping, or refers to another.
type notPlain struct{ line int }

func (notPlain) Error() string { return "not a plain value" }

// UnmarshalYAML reads a plain value.
func (v *value) UnmarshalYAML(n ast.Node) error {
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.LiteralNode:
		*v = value{strings.TrimSpace(n.Value.Value), lineOf(n)}
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		*v = value{strings.TrimSpace(n.GetToken().Value), lineOf(n)}
	default:
		return notPlain{lineOf(n)}
	}
	return nil
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// errNotAllowed says no more than that: the row's Allowed says the rest.
var errNotAllowed = errors.New("")

const (
	minRate           = 0.01 // the slowest that the rate limiter can go
	maxRate           = 10_000
	maxBurst          = 10_000
	maxUsersPerCall   = 1000
	maxRequestTimeout = 10 * time.Minute
	maxShutdown       = time.Hour
)

var plainForm = regexp.MustCompile(`^[A-Za-z0-9._:/-]{0,40}$`)

// hideUnlessPlain shows a short word and hides what could be more.
func hideUnlessPlain(s string) string {
	if plainForm.MatchString(s) {
		return s
	}
	return hiddenText
}

const hiddenText = "(hidden)"

func duration(s string, least, most time.Duration) (time.Duration, error) {
	d, err := schedule.ParseDuration(s)
	if err != nil {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, errors.New("a duration needs its unit")
		}
		return 0, errNotAllowed
	}
	if d < least || d > most {
		return 0, errNotAllowed
	}
	return d, nil
}

func rate(s string) (float64, error) {
	r, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(r) || r < minRate || r > maxRate {
		return 0, errNotAllowed
	}
	return r, nil
}

func whole(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, errNotAllowed
	}
	return n, nil
}

func isPort(s string, least int) bool {
	_, err := whole(s, least, math.MaxUint16)
	return err == nil
}
