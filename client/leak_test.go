package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
)

// TestNothingLeaks prints and logs all that a call can bring, with a server that echoes the
// user, the token and the URL wherever it can.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	const number, appSecret = "16505551234", "appsecret-of-the-test"
	echo := fmt.Sprintf(`"message":"no +%[1]s, %[1]s","type":"T%[1]s","fbtrace_id":"%[1]s","error_data":{"details":"of +1 650-555-1234"}`, number)
	mixed := `{"block_users":{"failed_users":[{"input":"+` + number + `","wa_id":"` + number + `","errors":[{"code":131047,` + echo + `}]}]},"error":{"code":139100,` + echo + `}}`
	gone := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	malformed := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte(number + " is no status line\r\n\r\n"))
		_ = conn.Close()
	}
	for name, h := range map[string]http.HandlerFunc{
		"mixed":      reply(400, mixed, "facebook-api-version", number),
		"whole call": reply(400, `{"error":{"code":190,`+echo+`}}`),
		"big codes":  reply(400, `{"error":{"code":`+number+`,"error_subcode":"`+number+`"}}`),
		"text":       reply(502, "about "+number),
		"odd types":  reply(200, `{"block_users":`+number+`}`),
		"redirect":   reply(302, "", "Location", "https://x.example/"+number),
		"page":       reply(200, `{"data":[{"wa_id":"`+number+`","user_id":"US.`+number+`"}]}`),
		"token":      reply(401, `{"error":{"code":190,"message":"Malformed access token `+token+`","error_data":{"details":"`+token+` is no token"}}}`),
		"user token": reply(400, `{"block_users":{"failed_users":[{"input":"+`+number+`","errors":[{"code":190,"message":"`+token+`"}]}]}}`),
		"its start":  reply(401, `{"error":{"code":190,"message":"Malformed access token EAAJBsecretstart..."}}`),
		"gone":       gone,
		"malformed":  malformed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			text, js := slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))
			c := newClient(t, h, client.WithLogger(text), client.WithAppSecret(secret.Static(secret.New(appSecret))), client.WithTimeout(time.Minute))
			result, err := c.Block(t.Context(), phoneNumberID, ids(t, "+"+number))
			page, listErr := c.ListPage(t.Context(), phoneNumberID, client.ListOptions{})
			if page != nil {
				for i := range page.Entries {
					page.Entries[i].Raw = nil // []byte prints as decimals, too long to look for
				}
			}
			for _, v := range []any{result, err, page, listErr, c.Check(t.Context(), phoneNumberID)} {
				text.Info("x", "v", v)
				js.Info("x", "v", v)
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
					_, _ = fmt.Fprintf(&out, verb+"\n", v)
				}
				_ = json.NewEncoder(&out).Encode(v)
			}
			if result != nil {
				_, _ = fmt.Fprintf(&out, "%v %+v %#v", result.Outcomes, result.Outcomes, result.Outcomes)
			}
			for _, bad := range []string{number, "6505551234", "650-555-1234", token, "secretstart", appSecret, "appsecret_proof", phoneNumberID} {
				if strings.Contains(out.String(), bad) {
					t.Errorf("%q came out:\n%s", bad, &out)
				}
			}
		})
	}
}
