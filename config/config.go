package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
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
	// ParkClosedWindows says that no call is made for blocks that are known to fail.
	ParkClosedWindows bool
	Concurrency       int // 0: the worker chooses
	ShutdownTimeout   time.Duration

	HTTPAddr  string // "": no server
	HTTPToken Credential
	// HTTPTokensFile has named tokens; "" for none.
	HTTPTokensFile string
	HTTPReadOnly   bool
	// WebhookToken answers the handshake of webhooks, which AppSecret verifies: both turn them on.
	WebhookToken Credential

	// JobRetention and MaxJobs bound the jobs that are kept of a phone number ID.
	JobRetention time.Duration
	MaxJobs      int
	// NameRetention and MaxNames bound the names that are kept of users without a request.
	NameRetention time.Duration
	MaxNames      int

	LogLevel  slog.Level
	LogFormat string // "text", "json", or "": text on a terminal, else json

	// Warnings are sentences for people about what is dangerous but not wrong.
	Warnings []string
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

// AppSecretSource returns the app secret, nil when there is none. Its file may have several lines: the first is the
// secret, and webhooks may be signed with any.
func (c *Config) AppSecretSource() (*secret.Source, error) {
	if c.AppSecret.IsZero() {
		return nil, nil
	}
	return c.AppSecret.source(secret.Lines)
}

// WebhookTokenSource returns the token of the webhook's handshake, nil when there is none.
func (c *Config) WebhookTokenSource() (*secret.Source, error) { return c.WebhookToken.optional() }

// ShortestHTTPToken returns the least length of a token of the HTTP address.
func (c *Config) ShortestHTTPToken() int {
	if c.HTTPAddr == "" || loopback(c.HTTPAddr) {
		return 1
	}
	return minHTTPToken
}

// minHTTPToken is the least length of a token that protects an address which others can reach.
const minHTTPToken = 8

// HTTPTokenValue returns the token of the worker's HTTP address, zero when there is none. One that
// can be guessed is an error where others can reach the address.
func (c *Config) HTTPTokenValue() (secret.String, error) {
	s, err := c.HTTPToken.optional()
	if s == nil {
		return secret.String{}, err
	}
	if n := len(s.Get().Reveal()); n < c.ShortestHTTPToken() {
		return secret.String{}, fmt.Errorf("config: the token of %s is too short for %s, which others can reach: give it at least %d characters",
			c.HTTPToken.Name(), shorten(c.HTTPAddr), minHTTPToken)
	}
	return s.Get(), nil
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
