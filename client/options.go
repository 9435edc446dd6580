package client

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/wablock/wablock/config/secret"
)

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

// WithTransport sets what carries requests, in place of a [NewTransport] of the Client's own.
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

// WithLogger sets where the Client warns, which it does once, when the API answers in another
// version than it was asked for. The default logs nothing.
func WithLogger(l *slog.Logger) Option {
	return func(c *Client) error {
		if l == nil {
			return errors.New("client: the logger is nil")
		}
		c.log = l
		return nil
	}
}

// WithUserAgent sets the User-Agent header.
func WithUserAgent(ua string) Option {
	return func(c *Client) error {
		if ua == "" || strings.ContainsFunc(ua, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("client: the user agent must be printable ASCII")
		}
		c.userAgent = ua
		return nil
	}
}
