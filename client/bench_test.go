package client_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
)

// canned answers without a network, so that a benchmark sees encoding and decoding alone.
type canned []byte

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{},
		Body:          io.NopCloser(bytes.NewReader(c)),
		ContentLength: int64(len(c)),
		Request:       r,
	}, nil
}

// BenchmarkBlock is one call of 1,000 users, encode to outcomes. Its budget is 3 ms.
func BenchmarkBlock(b *testing.B) {
	users := many(b, client.MaxUsers)
	failed := make([]string, len(users))
	for i, id := range users {
		failed[i] = fmt.Sprintf(`{"input":%q,"wa_id":%q,"errors":[{"message":"Re-engagement required","code":131047,"error_data":{"details":"User has not messaged in the last 24 hours"}}]}`,
			id.Reveal(), id.Reveal()[1:])
	}
	for name, body := range map[string]string{
		"succeed": `{"messaging_product":"whatsapp","block_users":{"added_users":` + listOf(users) + `}}`,
		"fail":    `{"messaging_product":"whatsapp","block_users":{"failed_users":[` + strings.Join(failed, ",") + `]},"error":{"code":139100}}`,
	} {
		b.Run(name, func(b *testing.B) {
			c, err := client.New("https://graph.example", "v25.0", secret.Static(secret.New(token)), client.WithTransport(canned(body)))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Block(b.Context(), phoneNumberID, users); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
