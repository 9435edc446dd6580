package simulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wablock/wablock/client/simulator"
)

// TestWebhook: a message of a user is sent to a URL, signed.
func TestWebhook(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{AppSecret: "first", Window: simulator.Window{SilentShare: 1}})
	var got string
	status := http.StatusOK
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("first"))
		_, _ = mac.Write(body)
		if r.Header.Get("X-Hub-Signature-256") == "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			got = string(body)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(at.Close)
	wrote := func(user, url string) reply {
		return g.control("POST", "/user-wrote", `{"phone_number_id":"`+phone+`","user":"`+user+`","webhook":"`+url+`"}`)
	}
	if r := wrote("+16505551234", at.URL); r.Status != 204 || !strings.Contains(got, `"from":"16505551234"`) || !strings.Contains(got, `"phone_number_id":"`+phone+`"`) {
		t.Errorf("%d, got %s", r.Status, got)
	}
	if r := wrote("US.4711", at.URL); r.Status != 204 || !strings.Contains(got, `"from_user_id":"US.4711"`) {
		t.Errorf("%d, got %s", r.Status, got)
	}
	status = http.StatusServiceUnavailable
	for _, url := range []string{at.URL, "x", "http://127.0.0.1:1/"} {
		if r := wrote("+16505551234", url); r.Status != 400 {
			t.Errorf("%s: %d", url, r.Status)
		}
	}
}
