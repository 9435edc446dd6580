package acceptance

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
)

// TestWebhook: a dead letter 131047 is blocked within two seconds of the webhook that tells that its user has written.
func TestWebhook(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{AppSecret: appSecret, Window: simulator.Window{SilentShare: 1}})
	w := s.worker("one", "WABLOCK_WEBHOOK_VERIFY_TOKEN=hello")
	user := numbers(1)[0]
	if a := s.run("block", "--wait", user); a.code != 3 {
		t.Fatalf("the block: %d %s", a.code, a.err)
	}
	body := fmt.Sprintf(`{"phone_number_id":%q,"user":%q,"webhook":"http://%s/webhooks/whatsapp"}`, phoneNumberID, user, w.httpAddr())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/_simulator/user-wrote", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := new(http.Client).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("the webhook: %d", res.StatusCode)
	}
	s.eventually("the user is blocked", 2*time.Second, func() bool {
		return strings.Contains(string(s.get("/_simulator/snapshot?phone_number_id="+phoneNumberID)), user[1:])
	})
	s.eventually("its dead letter is gone", 5*time.Second, func() bool {
		return !strings.Contains(s.run("dead-letter", "list").out, user[1:])
	})
	if strings.Contains(s.logs.String(), user[1:]) {
		t.Error("a log shows the number")
	}
}
