package client

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/wablock/wablock/config/secret"
)

const (
	defaultTimeout   = 30 * time.Second
	defaultUserAgent = "wablock (+https://github.com/wablock/wablock)"
)

// Client calls the Block Users API with one access token. It is safe for concurrent use and
// needs no closing; Clients may share one [http.RoundTripper].
type Client struct {
	base      string // with the version, without a slash at its end
	version   string
	token     *secret.Source
	appSecret *secret.Source // nil: no appsecret_proof
	timeout   time.Duration
	userAgent string
	http      *http.Client
	log       *slog.Logger
	warnOnce  sync.Once // of another API version
}

var versionForm = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]{1,3}$`)

// New returns a Client for the Graph API at baseURL ("https://graph.facebook.com"; a path is
// kept) in one version ("v25.0"). The token is read from its source for every request, so
// that a caller may reload the source after a refusal.
func New(baseURL, version string, token *secret.Source, opts ...Option) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, errors.New("client: the Graph URL must look like https://graph.facebook.com")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("client: the Graph URL must have no user, query or fragment")
	}
	if !versionForm.MatchString(version) {
		return nil, fmt.Errorf("client: the Graph version is %q and must look like v25.0", version)
	}
	if token == nil {
		return nil, errors.New("client: no access token: give a source of one")
	}
	c := &Client{
		base:      strings.TrimRight(base.String(), "/") + "/" + version,
		version:   version,
		token:     token,
		timeout:   defaultTimeout,
		userAgent: defaultUserAgent,
		http:      &http.Client{CheckRedirect: refuseRedirect},
		log:       slog.New(slog.DiscardHandler),
	}
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	if c.http.Transport == nil {
		c.http.Transport = NewTransport()
	}
	return c, nil
}

// refuseRedirect makes a redirect an answer like any other: following it would send the token,
// and with 307 the users, to another host.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Option changes a Client that [New] makes. Its error becomes New's.
type Option func(*Client) error

// WithAppSecret makes every call carry appsecret_proof, an HMAC of the token under the app's
// secret, which apps may demand. The source is read for every call.
func WithAppSecret(s *secret.Source) Option {
	return func(c *Client) error {
		if s == nil {
			return errors.New("client: no app secret: give a source of one or leave the option out")
		}
		c.appSecret = s
		return nil
	}
}

// WithTimeout bounds one call, from dialling to the last byte of the answer. The default is
// 30 seconds. A context with an earlier deadline wins.
func WithTimeout(d time.Duration) Option {
	return func(c *Client) error {
		if d <= 0 {
			return fmt.Errorf("client: the request timeout is %v and must be above zero", d)
		}
		c.timeout = d
		return nil
	}
}

// WithTransport sets the transport, in place of a [NewTransport] of the Client's own.
// Clients for several tokens should share one.
func WithTransport(rt http.RoundTripper) Option {
	return func(c *Client) error {
		if rt == nil {
			return errors.New("client: the transport is nil")
		}
		c.http.Transport = rt
		return nil
	}
}

// WithLogger sets the logger of the Client's one warning: that the API answers in another version
// than requested. The default logs nothing.
func WithLogger(l *slog.Logger) Option {
	return func(c *Client) error {
		if l == nil {
			return errors.New("client: the logger is nil")
		}
		c.log = l
		return nil
	}
}

// WithUserAgent replaces the User-Agent header, which names wablock and its address, by other
// printable ASCII.
func WithUserAgent(ua string) Option {
	return func(c *Client) error {
		if ua == "" || strings.ContainsFunc(ua, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("client: the user agent must be printable ASCII")
		}
		c.userAgent = ua
		return nil
	}
}
