package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/wablock/wablock/config/secret"
)

// The callers who have no line in the file of tokens.
const (
	// TokenName is the name of the one token of WABLOCK_HTTP_TOKEN.
	TokenName = "token"
	// LocalName is the name of who calls from this machine where no token is set.
	LocalName = "local"
)

// rereadAfter is the time for which the file of tokens is not looked at again.
const rereadAfter = time.Second

// The reasons to refuse a request.
var (
	ErrToken    = errors.New("send a token: Authorization: Bearer, or the password of basic auth; it is that of WABLOCK_HTTP_TOKEN or one of WABLOCK_HTTP_TOKENS_FILE")
	ErrHost     = errors.New("without WABLOCK_HTTP_TOKEN only requests to localhost are answered; set a token to use another name")
	ErrReadOnly = errors.New("WABLOCK_HTTP_READONLY is set: this address changes nothing")
	ErrScope    = errors.New("the token's scope does not allow it")
)

// Config holds the rules; its zero value lets in this machine alone.
type Config struct {
	// Token may do everything; zero for none.
	Token secret.String
	// File has named tokens, a line each; "" for none.
	File string
	// ReadOnly lets no caller change anything.
	ReadOnly bool
	// Shortest is the least length of a token in File.
	Shortest int
	// Logger is told of a changed file that can't be used; nil for none.
	Logger *slog.Logger
}

// Control lets requests in. The zero Control lets in this machine alone. It is safe for concurrent use.
type Control struct {
	cfg Config

	mu     sync.Mutex
	tokens []named // cfg.Token first
	text   digest  // of the file as it was read last
	looked time.Time
	fault  string // of the last change that can't be used
}

// Open reads the file of tokens, if there is one. The error wraps that of the file system where
// the file could not be read.
func Open(cfg Config) (*Control, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Control{cfg: cfg}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("WABLOCK_HTTP_TOKENS_FILE: %w", err)
	}
	return c, nil
}

// read takes the tokens from the file if it has changed.
func (c *Control) read() error {
	tokens := make([]named, 0, 1)
	if !c.cfg.Token.IsZero() {
		tokens = append(tokens, named{Caller{TokenName, Admin}, sha256.Sum256([]byte(c.cfg.Token.Reveal()))})
	}
	if c.cfg.File != "" {
		text, err := secret.ReadFile(c.cfg.File)
		if err != nil {
			return err
		}
		sum := digest(sha256.Sum256(text))
		if sum == c.text {
			return nil
		}
		more, err := parse(string(text), c.cfg.Shortest)
		if err != nil {
			return fmt.Errorf("%s: %w", c.cfg.File, err)
		}
		c.text, tokens = sum, append(tokens, more...)
	}
	c.tokens = tokens
	return nil
}

// current returns the tokens that count, having looked at the file if it is time to.
func (c *Control) current(ctx context.Context) []named {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.File == "" || time.Since(c.looked) < rereadAfter {
		return c.tokens
	}
	before := c.text
	err := c.read()
	c.looked = time.Now()
	switch {
	case err == nil && c.text != before && before != (digest{}):
		c.cfg.Logger.InfoContext(ctx, "http: tokens read again", "tokens", len(c.tokens))
	case err != nil && err.Error() != c.fault:
		c.cfg.Logger.ErrorContext(ctx, "http: the file of tokens can't be used: the tokens stay as they were", "error", err)
	}
	c.fault = ""
	if err != nil {
		c.fault = err.Error()
	}
	return c.tokens
}

// Admit returns who sent a request, or why it is refused: ErrToken or ErrHost.
func (c *Control) Admit(r *http.Request) (Caller, error) {
	if c.cfg.Token.IsZero() && c.cfg.File == "" {
		// Without a token, a domain that resolves to 127.0.0.1 would otherwise open the address to a
		// site elsewhere (DNS rebinding).
		if !loopbackHost(r.Host) {
			return Caller{}, ErrHost
		}
		return Caller{LocalName, Admin}, nil
	}
	got, found := digest(sha256.Sum256([]byte(presented(r)))), Caller{}
	for _, t := range c.current(r.Context()) { // all of them, so that the time reveals nothing
		if subtle.ConstantTimeCompare(got[:], t.digest[:]) == 1 {
			found = t.caller
		}
	}
	if found.Scope == 0 {
		return Caller{}, ErrToken
	}
	return found, nil
}

// Allow returns why a caller may not do what needs a scope: it wraps ErrReadOnly or ErrScope.
func (c *Control) Allow(caller Caller, needs Scope) error {
	if c.cfg.ReadOnly && needs > Read {
		return ErrReadOnly
	}
	if caller.Scope < needs {
		return fmt.Errorf("%w: it is %v, and this needs %v", ErrScope, caller.Scope, needs)
	}
	return nil
}

// presented returns the token that a request carries, "" for none.
func presented(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(rest)
}

func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

type callerKey struct{}

// With returns a context that carries who sent a request.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns who sent the request of a context, zero when that is not known.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
