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
// that whoever learns that it was refused may reload the source.
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

// refuseRedirect makes a redirect an answer like any other: following it would hand the
// token, and with 307 the users, to wherever it points.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
