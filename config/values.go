package config

import (
	"errors"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

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

var (
	versionForm       = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]{1,3}$`)
	phoneNumberIDForm = regexp.MustCompile(`^[0-9]{1,32}$`)
)

func setGraphURL(c *Config, s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return errNotAllowed
	case u.Port() != "" && !isPort(u.Port(), 1):
		return errNotAllowed
	case u.Scheme == "http" && facebook.MatchString(u.Hostname()):
		return errors.New("the token would be sent unencrypted")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return errNotAllowed
	}
	c.GraphURL = strings.TrimRight(s, "/")
	return nil
}

var facebook = regexp.MustCompile(`(?i)(?:^|\.)facebook\.com\.?$`)

// showGraphURL shows no more than a host: a token that was put into the URL must not show in a log.
func showGraphURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return hideUnlessPlain(s)
	}
	return u.Scheme + "://" + u.Host + "/…"
}

var plainForm = regexp.MustCompile(`^[A-Za-z0-9._:/-]{0,40}$`)

// hideUnlessPlain shows a short word and hides what could be more.
func hideUnlessPlain(s string) string {
	if plainForm.MatchString(s) {
		return s
	}
	return hiddenText
}

const hiddenText = "(hidden)"

func setGraphVersion(c *Config, s string) error {
	if !versionForm.MatchString(s) {
		return errNotAllowed
	}
	c.GraphVersion = s
	return nil
}

func setPhoneNumberID(c *Config, s string) error {
	if !phoneNumberIDForm.MatchString(s) {
		return errNotAllowed
	}
	c.PhoneNumberID = s
	return nil
}

// showPhoneNumberID hides what is a phone number in the place of an ID.
func showPhoneNumberID(s string) string { return user.Scrub(s) }

func setDefaultCountry(c *Config, s string) (err error) {
	if c.DefaultCountry, err = user.ParseCountry(s); err != nil {
		return errNotAllowed
	}
	return nil
}

func setLogLevel(c *Config, s string) error {
	switch strings.ToLower(s) {
	case "debug":
		c.LogLevel = slog.LevelDebug
	case "info":
		c.LogLevel = slog.LevelInfo
	case "warn":
		c.LogLevel = slog.LevelWarn
	case "error":
		c.LogLevel = slog.LevelError
	default:
		return errNotAllowed
	}
	return nil
}

func setLogFormat(c *Config, s string) error {
	if s != "text" && s != "json" {
		return errNotAllowed
	}
	c.LogFormat = s
	return nil
}

func setRequestTimeout(c *Config, s string) (err error) {
	c.RequestTimeout, err = duration(s, time.Nanosecond, maxRequestTimeout)
	return err
}

func setShutdownTimeout(c *Config, s string) (err error) {
	c.ShutdownTimeout, err = duration(s, 0, maxShutdown)
	return err
}

func duration(s string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
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

func setRate(c *Config, s string) (err error) {
	c.Rate, err = rate(s)
	return err
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

func setBurst(c *Config, s string) (err error) {
	c.Burst, err = whole(s, 1, maxBurst)
	return err
}

func setMaxUsersPerCall(c *Config, s string) (err error) {
	c.MaxUsersPerCall, err = whole(s, 1, maxUsersPerCall)
	return err
}

func setMaxAttempts(c *Config, s string) (err error) {
	c.MaxAttempts, err = whole(s, 1, 1000)
	return err
}

func setConcurrency(c *Config, s string) (err error) {
	c.Concurrency, err = whole(s, 1, 10_000)
	return err
}

func setHTTPAddr(c *Config, s string) error {
	if s == "" {
		c.HTTPAddr = ""
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /@") {
		return errNotAllowed
	}
	if !isPort(port, 0) {
		return errNotAllowed
	}
	c.HTTPAddr = s
	return nil
}

func isPort(s string, least int) bool {
	_, err := whole(s, least, math.MaxUint16)
	return err == nil
}

// loopback reports whether addr, which setHTTPAddr took, is reached from this machine alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
