package source

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

// The bounds of a list from a URL.
const (
	urlTimeout   = 2 * time.Minute // for all of it
	maxURLBytes  = 64 << 20        // five times 64,000 of the longest BSUIDs
	maxRedirects = 5
)

// URL returns the source of a list at an https URL. Plain http is for loopback alone.
func URL(s string, o numbers.Options) (Source, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrUnusable) // the error would show it
	}
	if err := checkURL(u); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	transport := &http.Transport{
		// The transport would hide the length of a compressed answer, and with it that it was
		// cut between two parts.
		DisableCompression: true,
		Proxy:              http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: time.Minute,
	}
	return &remote{url: s, options: o, host: u.Scheme + "://" + u.Host, client: &http.Client{
		Transport: transport, Timeout: urlTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			r.Header.Del("Referer") // path and query may hold a key
			return checkURL(r.URL)
		},
	}}, nil
}

// checkURL refuses what could be read or changed on the way.
func checkURL(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("a URL without a host")
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return errors.New("a URL must be https: changing the list on its way would unblock users")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// remote fetches a list from a URL.
type remote struct {
	url     string
	options numbers.Options
	host    string
	client  *http.Client
}

// Name shows the host alone: user, path and query may each hold a key.
func (s *remote) Name() string { return s.host + "/…" }

func (s *remote) ID() string { return idOf("url", s.url) }

func (s *remote) Read(ctx context.Context) (List, error) {
	list, err := s.fetch(ctx)
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // its text holds the URL
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return whole(s.Name(), list, err)
}

func (s *remote) fetch(ctx context.Context) (List, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return List{}, err
	}
	req.Header.Set("Accept", "text/csv, text/plain;q=0.9, */*;q=0.1")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Cache-Control", "no-cache") // an older list would unblock users added since
	req.Header.Set("User-Agent", "wablock")
	resp, err := s.client.Do(req)
	if err != nil {
		return List{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := checkAnswer(resp); err != nil {
		return List{}, err
	}
	body, err := decoded(resp)
	if err != nil {
		return List{}, err
	}
	return readNumbers(&bounded{r: body, left: maxURLBytes}, s.options)
}

// checkAnswer refuses what isn't a list, and what could be cut short without a sign of it.
func checkAnswer(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered with status %d, not with a list", resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err == nil && !strings.HasPrefix(kind, "text/") && kind != "application/csv" && kind != "application/octet-stream" || kind == "text/html" {
		return fmt.Errorf("it answered with %s, not with CSV or plain text", user.Scrub(kind))
	}
	if resp.ContentLength > maxURLBytes {
		return errTooLong
	}
	chunked := slices.Contains(resp.TransferEncoding, "chunked")
	if resp.ContentLength < 0 && !chunked && resp.ProtoMajor < 2 {
		return errors.New("its answer has no length, so that half of it would pass for the whole: have the server send a Content-Length")
	}
	return nil
}

// decoded returns the body as text.
func decoded(resp *http.Response) (io.Reader, error) {
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return resp.Body, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(resp.Body)
	default:
		return nil, fmt.Errorf("it answered in the encoding %s, and was asked for gzip or none", user.Scrub(encoding))
	}
}

var errTooLong = fmt.Errorf("it sent more than %d MiB", maxURLBytes>>20)

// bounded fails, in place of ending, when there is more than left.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
