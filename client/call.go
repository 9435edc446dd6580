package client

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds an answer. 1,000 users who failed take a quarter of a megabyte.
const maxBody = 8 << 20

// answer is an HTTP answer whose body was read to its end.
type answer struct {
	body []byte
	meta Meta
}

// validID checks a Graph ID, which becomes part of the path. The error does not show it.
func validID(id string) error {
	if id == "" || len(id) > 32 {
		return fmt.Errorf("%w: a Graph ID has 1 to 32 digits", ErrInvalidRequest)
	}
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return fmt.Errorf("%w: a Graph ID has only digits; it is not a phone number with a plus", ErrInvalidRequest)
		}
	}
	return nil
}

// send sends one request to the block_users edge and reads the answer. The query may be nil;
// a nil body is none.
func (c *Client) send(ctx context.Context, method, phoneNumberID string, query url.Values, body []byte) (a answer, err error) {
	if err := validID(phoneNumberID); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	status := 0
	ctx, span := startSpan(ctx, c.base, method, phoneNumberID)
	defer func() { endSpan(span, status, err) }()
	token := c.token.Get().Reveal()
	req, err := c.newRequest(ctx, method, phoneNumberID, token, query, body)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, &TransportError{err: stripURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	status = resp.StatusCode
	a = answer{meta: readMeta(status, resp.Header, time.Now())}
	c.compareVersion(resp.Header.Get("Facebook-Api-Version"))
	a.body, err = readBody(resp)
	switch {
	case err != nil && ctx.Err() != nil:
		return answer{}, &TransportError{err: ctx.Err()}
	case err != nil:
		return answer{}, &ResponseError{What: fmt.Sprintf("a body cut off after %d bytes", len(a.body)), Meta: a.meta, err: err}
	case len(a.body) > maxBody:
		return answer{}, &ResponseError{What: fmt.Sprintf("a body of more than %d MiB", maxBody>>20), Meta: a.meta}
	}
	a.body = hideToken(a.body, token)
	return a, nil
}

func (c *Client) newRequest(ctx context.Context, method, phoneNumberID, token string, query url.Values, body []byte) (*http.Request, error) {
	if c.appSecret != nil {
		if query == nil {
			query = url.Values{}
		}
		query.Set("appsecret_proof", proof(token, c.appSecret.Get().Reveal()))
	}
	target := c.base + "/" + phoneNumberID + "/block_users"
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidRequest, stripURL(err))
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", c.userAgent)
	return req, nil
}

// proof is appsecret_proof as the Graph API defines it.
func proof(token, appSecret string) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

// readBody reads to one byte past the bound. It returns what it has with an error.
func readBody(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxBody {
		b.Grow(int(n) + bytes.MinRead) // ReadFrom then needs no second buffer
	}
	_, err := b.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	return b.Bytes(), err
}

// compareVersion warns, once in the Client's life, when the API answers in another version:
// Meta lifts calls to old versions to the oldest that it still serves.
func (c *Client) compareVersion(got string) {
	if got == "" || got == c.version {
		return
	}
	c.warnOnce.Do(func() {
		c.log.Warn("the API answers in another version than it was asked for; set WABLOCK_GRAPH_VERSION to one that Meta serves",
			"asked", c.version, "answered", clean(got))
	})
}

// decode reads a JSON object into v. Fields of an unexpected type stay zero: the rest of the
// answer still counts. The error, a ResponseError, describes the answer without quoting it (as
// the errors of encoding/json do).
func decode(a answer, v any) error {
	err := json.Unmarshal(a.body, v)
	if err == nil && isObject(a.body) {
		return nil
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && isObject(a.body) {
		return nil
	}
	return &ResponseError{What: describe(a), Meta: a.meta}
}

func isObject(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] == '{'
}

// describe names the kind of an answer that is not a JSON object.
func describe(a answer) string {
	body := bytes.TrimSpace(a.body)
	n := len(a.body)
	switch {
	case a.meta.Status >= 300 && a.meta.Status < 400:
		return "a redirect, which is not followed,"
	case len(body) == 0:
		return "an empty body"
	case body[0] == '<':
		return fmt.Sprintf("a page of HTML or XML (%d bytes)", n)
	}
	err := json.Unmarshal(body, new(json.RawMessage))
	syntax, bad := errors.AsType[*json.SyntaxError](err)
	switch {
	case !bad:
		return fmt.Sprintf("JSON that is not an object (%d bytes)", n)
	case syntax.Offset >= int64(len(body)) && (body[0] == '{' || body[0] == '['):
		return fmt.Sprintf("JSON cut off after %d bytes", n)
	case body[0] == '{' || body[0] == '[':
		return fmt.Sprintf("broken JSON (%d bytes, wrong at byte %d)", n, syntax.Offset)
	}
	return fmt.Sprintf("%d bytes that are not JSON", n)
}

// maxStatedWait bounds the wait that a header may ask for. The API counts in hours at most; a
// longer wait is a broken header, and must not stop a queue.
const maxStatedWait = 24 * time.Hour

func readMeta(status int, h http.Header, now time.Time) Meta {
	m := Meta{Status: status, RetryAfter: retryAfter(h, now)}
	readBusinessUsage(&m.Usage, h.Get("X-Business-Use-Case-Usage"))
	readAppUsage(&m.Usage, h.Get("X-App-Usage"))
	return m
}

// retryAfter reads seconds or an HTTP date. A date is compared with the answer's own Date, which
// avoids the difference of clocks.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(v, 64); err == nil {
		return bounded(seconds, time.Second)
	}
	until, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(until.Sub(now), 0), maxStatedWait)
}

func bounded(n float64, unit time.Duration) time.Duration {
	if math.IsNaN(n) || n <= 0 {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(maxStatedWait)))
}

// metrics are percentages of a budget; the regain time is in minutes (Graph API overview,
// "Rate Limits").
type metrics struct {
	CallCount float64 `json:"call_count"`
	CPUTime   float64 `json:"total_cputime"`
	TotalTime float64 `json:"total_time"`
	Regain    float64 `json:"estimated_time_to_regain_access"`
}

func (m metrics) percent() int {
	return int(min(max(m.CallCount, m.CPUTime, m.TotalTime, 0), 1000))
}

func readBusinessUsage(u *Usage, header string) {
	var byAccount map[string][]metrics
	if header == "" || json.Unmarshal([]byte(header), &byAccount) != nil {
		return
	}
	for account, entries := range byAccount {
		if validID(account) == nil {
			u.Accounts = append(u.Accounts, account)
		}
		for _, m := range entries {
			u.Business = max(u.Business, m.percent())
			u.RegainAccess = max(u.RegainAccess, bounded(m.Regain, time.Minute))
		}
	}
	slices.Sort(u.Accounts)
}

func readAppUsage(u *Usage, header string) {
	var m metrics
	if header == "" || json.Unmarshal([]byte(header), &m) != nil {
		return
	}
	u.App = m.percent()
}
