package config

import (
	"errors"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Setting is one row of the table of settings.
type Setting struct {
	// Variable is the name in the environment. Without its prefix and in lower case it is the
	// key in the YAML file.
	Variable string
	// Default is the default as people would write or describe it, "" for none.
	Default string
	Meaning string
	// Allowed completes "allowed: ".
	Allowed string
	// Flag is the name of the flag, "" for none.
	Flag string
	// Worker says that the setting, and its flag, mean something to long-running commands only.
	Worker bool
	// Secret says that the value is never shown.
	Secret bool

	auto  bool // Default describes what the program chooses, it is no value
	empty bool // a variable that is set to nothing counts
	set   func(*Config, string) error
	show  func(string) string // how a wrong value is shown; nil: as it is
}

const envPrefix = "WABLOCK_"

// Key returns the key in the YAML file.
func (s Setting) Key() string { return strings.ToLower(strings.TrimPrefix(s.Variable, envPrefix)) }

// fileSuffix makes the variable of a secret's file.
const fileSuffix = "_FILE"

// The variables of secrets; with _FILE at the end they name the secret's file.
const (
	accessTokenVariable = "WABLOCK_ACCESS_TOKEN"
	appSecretVariable   = "WABLOCK_APP_SECRET" //nolint:gosec // a name
	httpTokenVariable   = "WABLOCK_HTTP_TOKEN" //nolint:gosec // a name

	webhookTokenVariable = "WABLOCK_WEBHOOK_VERIFY_TOKEN" //nolint:gosec // a name
)

// Settings returns all settings that are plain values, in the order of documentation. The YAML
// file has one more key, phone_numbers; see [PhoneNumber].
func Settings() []Setting {
	return append(connectionSettings(), workerSettings()...)
}

func connectionSettings() []Setting {
	return []Setting{
		{
			Variable: "WABLOCK_REDIS_URL", Default: "redis://127.0.0.1:6379/0", Flag: "redis-url",
			Meaning: "Redis; also `rediss://`, `unix://`, `redis-sentinel://h1:p,h2:p/0?master=NAME`, `redis-cluster://h1:p,h2:p`; user and password in the URL; `?ca_file=F` trusts the certificates in F",
			Allowed: "redis://[user:password@]host:port/db, rediss://…, unix:///path, redis-sentinel://h1:p,h2:p/0?master=NAME or redis-cluster://h1:p,h2:p",
			set:     setRedis, show: showRedisURL,
		},
		{
			Variable: "WABLOCK_GRAPH_URL", Default: "https://graph.facebook.com", Flag: "graph-url",
			Meaning: "base URL of the Graph API",
			Allowed: "an http or https URL such as https://graph.facebook.com, without user, query and fragment; Facebook's own with https alone",
			set:     setGraphURL, show: showGraphURL,
		},
		{
			Variable: "WABLOCK_GRAPH_VERSION", Default: "v25.0", Flag: "graph-version",
			Meaning: "API version", Allowed: "a version such as v25.0", set: setGraphVersion,
		},
		{
			Variable: accessTokenVariable, Secret: true,
			Meaning: "bearer token of the Graph API", Allowed: "printable text without spaces",
		},
		{
			Variable: accessTokenVariable + fileSuffix, Flag: "access-token-file",
			Meaning: "file that holds the token; read again when the API refuses the token, so that it can be rotated under a running worker",
			Allowed: "the path of a file",
		},
		{
			Variable: appSecretVariable, Secret: true,
			Meaning: "if set, every call carries `appsecret_proof`, and webhooks are verified with it",
			Allowed: "printable text without spaces",
		},
		{
			Variable: appSecretVariable + fileSuffix, Flag: "app-secret-file",
			Meaning: "file that holds the app secret; of several lines the first, and webhooks may be signed with any", Allowed: "the path of a file",
		},
		{
			Variable: "WABLOCK_PHONE_NUMBER_ID", Flag: "phone-number-id",
			Meaning: "business phone number ID that commands and the worker use when none is named",
			Allowed: "the 1 to 32 digits of the Graph ID, which is not the phone number itself",
			set:     setPhoneNumberID, show: showPhoneNumberID,
		},
		{
			Variable: "WABLOCK_DEFAULT_COUNTRY",
			Meaning:  "country whose national numbers commands and desired lists may hold; without it, numbers need their country code",
			Allowed:  "the ISO code of a country, such as US, or its calling code, such as +1", set: setDefaultCountry,
		},
		{
			Variable: "WABLOCK_JOB_RETENTION", Default: "30d",
			Meaning: "how long what was asked for with a job, and what came of it, is kept; older jobs are dropped as new ones are accepted: set it alike for workers and commands",
			Allowed: "a duration from 1h to 365d such as 30d", set: setJobRetention,
		},
		{
			Variable: "WABLOCK_MAX_JOBS", Default: "100000",
			Meaning: "jobs that are kept, per phone number ID; the newest are",
			Allowed: "a whole number from 1000 to 1000000", set: setMaxJobs,
		},
		{
			Variable: "WABLOCK_NAME_RETENTION", Default: "30d",
			Meaning: "how long a link between a person's number, WhatsApp ID and business-scoped user ID is kept after it was last reported; the links of users with a request are kept as long as the request: set it alike for workers and commands",
			Allowed: "a duration from 1h to 365d such as 30d", set: setNameRetention,
		},
		{
			Variable: "WABLOCK_MAX_NAMES", Default: "200000",
			Meaning: "the most such links kept for users without a request, per phone number ID; the latest reported stay",
			Allowed: "a whole number from 1000 to 10000000", set: setMaxNames,
		},
		{
			Variable: "WABLOCK_LOG_LEVEL", Default: "info", Flag: "log-level",
			Meaning: "`debug`, `info`, `warn` or `error`", Allowed: "debug, info, warn or error", set: setLogLevel,
		},
		{
			Variable: "WABLOCK_LOG_FORMAT", Default: "`text` on a terminal else `json`", auto: true, Flag: "log-format",
			Meaning: "`text` or `json`", Allowed: "text or json", set: setLogFormat,
		},
		{
			Variable: "WABLOCK_REQUEST_TIMEOUT", Default: "30s", Flag: "request-timeout",
			Meaning: "one API call", Allowed: "a duration above zero such as 30s, at most 10m", set: setRequestTimeout,
		},
	}
}

func workerSettings() []Setting {
	return []Setting{
		{
			Variable: "WABLOCK_RATE", Default: "20", Flag: "rate", Worker: true,
			Meaning: "ceiling in API calls a second, per phone number ID, over all workers together",
			Allowed: "a number from 0.01 to 10000", set: setRate,
		},
		{
			Variable: "WABLOCK_BURST", Default: "5", Flag: "burst", Worker: true,
			Meaning: "bucket size in calls", Allowed: "a whole number from 1 to 10000", set: setBurst,
		},
		{
			Variable: "WABLOCK_MAX_USERS_PER_CALL", Default: "1000", Flag: "max-users-per-call", Worker: true,
			Meaning: "users per API call, 1 to 1000", Allowed: "a whole number from 1 to 1000", set: setMaxUsersPerCall,
		},
		{
			Variable: "WABLOCK_MAX_ATTEMPTS", Default: "12", Flag: "max-attempts", Worker: true,
			Meaning: "attempts per number on retryable errors before it is dead-lettered; waiting for the rate limit, a refused token or an outage of the API as a whole uses none up",
			Allowed: "a whole number from 1 to 1000", set: setMaxAttempts,
		},
		{
			Variable: "WABLOCK_PARK_CLOSED_WINDOWS", Default: "false", Flag: "park-closed-windows", Worker: true,
			Meaning: "blocks that are known to fail with 131047, since their users wrote last more than 24 hours ago, become dead letters without a call; only where webhooks arrive",
			Allowed: "true or false", set: setParkClosedWindows,
		},
		{
			Variable: "WABLOCK_CONCURRENCY", Default: "chosen by the worker", auto: true, Flag: "concurrency", Worker: true,
			Meaning: "asynq tasks in flight per worker process", Allowed: "a whole number from 1 to 10000", set: setConcurrency,
		},
		{
			Variable: "WABLOCK_SHUTDOWN_TIMEOUT", Default: "25s", Flag: "shutdown-timeout", Worker: true,
			Meaning: "time that SIGTERM leaves calls in flight", Allowed: "a duration such as 25s, at most 1h", set: setShutdownTimeout,
		},
		{
			Variable: "WABLOCK_HTTP_ADDR", Default: "127.0.0.1:8080", Flag: "http-addr", Worker: true, empty: true,
			Meaning: "pages, API, metrics, health; empty turns them off; port 0 picks a free one and logs it",
			Allowed: "host:port such as 127.0.0.1:8080, or nothing to turn the server off", set: setHTTPAddr,
		},
		{
			Variable: httpTokenVariable, Secret: true, Worker: true,
			Meaning: "required unless the address is loopback; `Authorization: Bearer`, or the password of basic auth in a browser",
			Allowed: "printable text without spaces",
		},
		{
			Variable: httpTokenVariable + fileSuffix, Flag: "http-token-file", Worker: true,
			Meaning: "file that holds the HTTP token", Allowed: "the path of a file",
		},
		{
			Variable: "WABLOCK_HTTP_TOKENS_FILE", Flag: "http-tokens-file", Worker: true,
			Meaning: "named HTTP tokens, a line each, `NAME SCOPE TOKEN` with the scope read, write or admin; the name is who asked; read again when it changes",
			Allowed: "the path of a file", set: setHTTPTokensFile, show: hide,
		},
		{
			Variable: "WABLOCK_HTTP_READONLY", Default: "false", Flag: "http-readonly", Worker: true,
			Meaning: "pages and API change nothing", Allowed: "true or false", set: setHTTPReadOnly,
		},
		{
			Variable: webhookTokenVariable, Secret: true, Worker: true,
			Meaning: "answers the handshake of Meta's webhooks; with the app secret it turns `/webhooks/whatsapp` on",
			Allowed: "printable text without spaces",
		},
		{
			Variable: webhookTokenVariable + fileSuffix, Flag: "webhook-verify-token-file", Worker: true,
			Meaning: "file that holds the verify token of webhooks", Allowed: "the path of a file",
		},
	}
}

func setRedis(c *Config, s string) error {
	p, err := parseRedisURL(s)
	if err != nil {
		return err
	}
	c.Redis = Redis{p}
	return nil
}

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

func setJobRetention(c *Config, s string) (err error) {
	c.JobRetention, err = duration(s, time.Hour, 365*24*time.Hour)
	return err
}

func setMaxJobs(c *Config, s string) (err error) {
	c.MaxJobs, err = whole(s, 1000, 1_000_000)
	return err
}

func setNameRetention(c *Config, s string) (err error) {
	c.NameRetention, err = duration(s, time.Hour, 365*24*time.Hour)
	return err
}

func setMaxNames(c *Config, s string) (err error) {
	c.MaxNames, err = whole(s, 1000, 10_000_000)
	return err
}

func setRate(c *Config, s string) (err error) {
	c.Rate, err = rate(s)
	return err
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

func setHTTPTokensFile(c *Config, s string) error {
	c.HTTPTokensFile = s
	return checkPath(s)
}

func setHTTPReadOnly(c *Config, s string) (err error) {
	c.HTTPReadOnly, err = yesOrNo(s)
	return err
}

func setParkClosedWindows(c *Config, s string) (err error) {
	c.ParkClosedWindows, err = yesOrNo(s)
	return err
}

func yesOrNo(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errNotAllowed
}
