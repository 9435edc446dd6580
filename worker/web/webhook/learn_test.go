package webhook_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/worker/web/webhook"
)

// TestChangeOfNumber asks for a wanted block under the new number too, once, however often Meta sends the message.
func TestChangeOfNumber(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		producer := taskfixture.Must(tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: taskfixture.PhoneNumberID}))(t)
		first := taskfixture.Must(producer.Block(t.Context(), []string{"+12025550101"}))(t)
		consume := webhook.Learn(producer, slog.New(slog.DiscardHandler))
		body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",`+
			`"metadata":{"phone_number_id":"%s"},"messages":[{"from":"12025550101","id":"wamid.C","timestamp":"%d","type":"system","system":`+
			`{"type":"user_changed_number","wa_id":"12025550199","user_id":"US.7002","previous_user_id":"US.7001"}}]}}]}]}`,
			taskfixture.PhoneNumberID, time.Now().Unix()+1)
		for range 3 {
			var events []webhook.Event
			if _, err := webhook.Walk([]byte(body), func(e webhook.Event) { events = append(events, e) }); err != nil {
				t.Fatal(err)
			}
			if err := consume(t.Context(), events); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"+12025550199", "US.7002", "+12025550101"} {
			s := taskfixture.Must(producer.Status(t.Context(), name))(t)
			if s.Operation != ledger.Block || s.State != ledger.Waiting || s.Version-first.Version > 1000 { // in µs: in the first request's order
				t.Errorf("%s: %+v", name[:3], s)
			}
		}
	})
}
