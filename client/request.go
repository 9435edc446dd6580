package client

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxBody bounds an answer. 1,000 users who failed take a quarter of a megabyte.
const maxBody = 8 << 20

// answer is an HTTP answer whose body was read to its end.
type answer struct {
	body []byte
	meta Meta
}

// validID checks a Graph ID, which becomes a part of the path. The error does not show it.
func validID(id string) error {
	if id == "" || len(id) > 32 {
		return fmt.Errorf("%w: a Graph ID has 1 to 32 digits", ErrInvalidRequest)
	}
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return fmt.Errorf("%w: a Graph ID has digits alone; it is no phone number with a plus", ErrInvalidRequest)
		}
	}
	return nil
}

// send sends one request to the block_users edge and reads the answer. The query may be nil;
// a nil body is none.
func (c *Client) send(ctx context.Context, method, phoneNumberID string, query url.Values, body []byte) (answer, error) {
	if err := validID(phoneNumberID); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
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
	a := answer{meta: readMeta(resp.StatusCode, resp.Header, time.Now())}
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
