package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/user"
)

// Config holds the settings that [Load] found, and no secret that printing could show.
type Config struct {
	Redis        Redis
	GraphURL     string // without a slash at its end
	GraphVersion string
	AccessToken  Credential // of phone numbers that have none of their own
	AppSecret    Credential
	// PhoneNumberID is the one named by flag, environment or file; "" for none. See Selected.
	PhoneNumberID string
	// PhoneNumbers are those of the file's phone_numbers, and PhoneNumberID if it is not among
	// them: what a worker serves.
	PhoneNumbers []PhoneNumber

	// DefaultCountry names the country whose national numbers inputs may hold; zero for none.
	DefaultCountry user.Country

	Rate            float64 // API calls a second, a ceiling
	Burst           int     // calls
	MaxUsersPerCall int
	MaxAttempts     int
	RequestTimeout  time.Duration
	Concurrency     int // 0: the worker chooses
	ShutdownTimeout time.Duration

	HTTPAddr  string // "": no server
	HTTPToken Credential

	LogLevel  slog.Level
	LogFormat string // "text", "json", or "": text on a terminal, else json

	// Warnings are sentences for people about what is dangerous but not wrong.
	Warnings []string
}

// Input lists the places that settings come from.
type Input struct {
	// Flags holds the values of the flags that were given, by [Setting.Flag].
	Flags map[string]string
	// LookupEnv is os.LookupEnv or a test's. nil is an empty environment.
	LookupEnv func(string) (string, bool)
	// File is the path of the YAML file, "" for none.
	File string
}

// Load reads and checks all settings. Its error joins one error per wrong setting; most are
// [*ValueError]s.
func Load(in Input) (*Config, error) {
	if in.LookupEnv == nil {
		in.LookupEnv = func(string) (string, bool) { return "", false }
	}
	f, errs := readFile(in.File)
	l := &loader{in: in, file: f, errs: errs, cfg: &Config{}, forced: map[string]bool{}}
	l.plain()
	l.cfg.AccessToken = l.credential(accessTokenVariable)
	l.cfg.AppSecret = l.credential(appSecretVariable)
	l.cfg.HTTPToken = l.credential(httpTokenVariable)
	l.phoneNumbers()
	l.together()
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	l.warn()
	return l.cfg, nil
}

// together holds the rules between settings.
func (l *loader) together() {
	c := l.cfg
	if c.HTTPAddr != "" && !loopback(c.HTTPAddr) && c.HTTPToken.IsZero() {
		l.errs = append(l.errs, fmt.Errorf("config: WABLOCK_HTTP_ADDR is %q, which others can reach: set %s or %s, or use a loopback address such as 127.0.0.1:8080",
			shorten(c.HTTPAddr), httpTokenVariable, httpTokenVariable+fileSuffix))
	}
}

func (l *loader) warn() {
	c := l.cfg
	if u, err := url.Parse(c.GraphURL); err == nil && u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("WABLOCK_GRAPH_URL is %s, which sends the access token unencrypted: use https", c.GraphURL))
	}
	credentials := []Credential{c.AccessToken, c.AppSecret, c.HTTPToken}
	for _, n := range c.PhoneNumbers {
		credentials = append(credentials, n.Token)
	}
	var seen []string
	for _, k := range credentials {
		if k.wide() && !slices.Contains(seen, k.path) {
			seen = append(seen, k.path)
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s holds a secret and others can read or change it: chmod 600 it", k.path))
		}
	}
	if l.file.hasSecret && openToOthers(l.file.path) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s holds a secret and others can read or change it: chmod 600 it, or use the …_file keys", l.file.path))
	}
}

// Selected returns the phone number that a command is about: PhoneNumberID, else the only one
// of the file. Otherwise the error wraps [ErrUnset].
func (c *Config) Selected() (PhoneNumber, error) {
	if c.PhoneNumberID == "" {
		switch len(c.PhoneNumbers) {
		case 1:
			return c.PhoneNumbers[0], nil
		case 0:
			return PhoneNumber{}, fmt.Errorf("config: the phone number ID is %w: give --phone-number-id or set WABLOCK_PHONE_NUMBER_ID", ErrUnset)
		default:
			return PhoneNumber{}, fmt.Errorf("config: the phone number ID is %w and the file has %d of them: say which with --phone-number-id", ErrUnset, len(c.PhoneNumbers))
		}
	}
	i := slices.IndexFunc(c.PhoneNumbers, func(n PhoneNumber) bool { return n.ID == c.PhoneNumberID })
	return c.PhoneNumbers[i], nil
}

// Tokens returns the access token of each of PhoneNumbers, by ID. Those with the same token
// share one Source, so that reading it again serves all. A missing one is an error that wraps
// [ErrUnset].
func (c *Config) Tokens() (map[string]*secret.Source, error) {
	shared := make(map[Credential]*secret.Source)
	tokens := make(map[string]*secret.Source, len(c.PhoneNumbers))
	var errs []error
	for _, n := range c.PhoneNumbers {
		s := shared[n.Token]
		if s == nil {
			var err error
			if s, err = n.Token.Source(); err != nil {
				errs = append(errs, fmt.Errorf("phone number ID %s has no access token: %w", n.ID, err))
				continue
			}
			shared[n.Token] = s
		}
		tokens[n.ID] = s
	}
	return tokens, errors.Join(errs...)
}

// AppSecretSource returns the app secret, nil when there is none.
func (c *Config) AppSecretSource() (*secret.Source, error) { return c.AppSecret.optional() }

// minHTTPToken is the least length of a token that protects an address which others can reach.
const minHTTPToken = 8

// HTTPTokenValue returns the token of the worker's HTTP address, zero when there is none. One that
// can be guessed is an error where others can reach the address.
func (c *Config) HTTPTokenValue() (secret.String, error) {
	s, err := c.HTTPToken.optional()
	if s == nil {
		return secret.String{}, err
	}
	if n := len(s.Get().Reveal()); n < minHTTPToken && c.HTTPAddr != "" && !loopback(c.HTTPAddr) {
		return secret.String{}, fmt.Errorf("config: the token of %s is too short for %s, which others can reach: give it at least %d characters",
			c.HTTPToken.Name(), shorten(c.HTTPAddr), minHTTPToken)
	}
	return s.Get(), nil
}
