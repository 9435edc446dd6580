package acceptance

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
)

const (
	apiLoad     = 300 // requests a second, of one user each
	webhookLoad = 200 // a second, of one message each
	loadFor     = 10 * time.Second
	loadToken   = "load-token-0123456789"
)

// load sends requests at a rate for loadFor, over connections that are kept, and returns how long each took from the
// moment at which it was due: one that waits for others counts its wait. An answer of another status fails the benchmark.
func (s *system) load(rate, status int, request func(i int) *http.Request) (took []time.Duration) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	took = make([]time.Duration, rate*int(loadFor/time.Second))
	faults := make([]string, len(took))
	var all sync.WaitGroup
	start := time.Now()
	for i := range took {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		s.pause(time.Until(due))
		all.Go(func() {
			r := request(i)
			res, err := client.Do(r)
			if err != nil {
				faults[i] = err.Error()
				return
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			took[i] = time.Since(due)
			if err != nil || res.StatusCode != status {
				faults[i] = fmt.Sprintf("%d %s %v", res.StatusCode, body, err)
			}
		})
	}
	all.Wait()
	if bad := slices.DeleteFunc(faults, func(f string) bool { return f == "" }); len(bad) > 0 {
		s.t.Fatalf("%d of %d requests failed; the first: %.300s", len(bad), len(took), bad[0])
	}
	slices.Sort(took)
	return took
}

// reportLoad reports the times, and what worker and Redis computed for each request.
func reportLoad(b *testing.B, took []time.Duration, worker, redis time.Duration) {
	b.Helper()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(ms(took[len(took)-1]), "worst-ms")
	b.ReportMetric(ms(worker)/float64(len(took)), "worker-ms/req")
	b.ReportMetric(ms(redis)/float64(len(took)), "redis-ms/req")
	b.ReportMetric(0, "ns/op")
}

func post(b *testing.B, url, body string) *http.Request {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		b.Error(err) // not Fatal: it is called from other goroutines
	}
	return r
}

// BenchmarkAPI sends 300 requests a second to block one user each, with a key of their own, while the worker carries
// them out. The figures are of the answers.
func BenchmarkAPI(b *testing.B) {
	s := newSystem(b, simulator.Scenario{})
	w := s.worker("worker", "WABLOCK_HTTP_TOKEN="+loadToken)
	url := "http://" + w.httpAddr() + "/v1/block"
	var took []time.Duration
	worker, redis := w.cpu(), s.redisCPU()
	for n := 0; b.Loop(); n++ {
		took = append(took, s.load(apiLoad, http.StatusAccepted, func(i int) *http.Request {
			r := post(b, url, fmt.Sprintf(`{"users":["+1%d%07d"]}`, 650+n%100, 2000000+i))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+loadToken)
			r.Header.Set("Idempotency-Key", fmt.Sprintf("load-%d-%d", n, i))
			return r
		})...)
	}
	slices.Sort(took)
	reportLoad(b, took, w.cpu()-worker, s.redisCPU()-redis)
}

// BenchmarkWebhooks sends 200 webhooks a second, each of a message of another user; one user in four waits for it.
func BenchmarkWebhooks(b *testing.B) {
	s := newSystem(b, simulator.Scenario{AppSecret: appSecret, Window: simulator.Window{SilentShare: 1}})
	w := s.worker("worker", "WABLOCK_WEBHOOK_VERIFY_TOKEN=hello")
	url := "http://" + w.httpAddr() + "/webhooks/whatsapp"
	total := webhookLoad * int(loadFor/time.Second)
	all := numbers(total)
	var took []time.Duration
	var worker, redis time.Duration
	for b.Loop() {
		if a := s.runWith(strings.Join(all[:total/4], "\n"), "block", "--wait", "--file", "-"); a.code != 3 {
			b.Fatalf("the blocks to be refused: %d %s", a.code, a.err)
		}
		w0, r0 := w.cpu(), s.redisCPU()
		took = append(took, s.load(webhookLoad, http.StatusOK, func(i int) *http.Request {
			body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",`+
				`"metadata":{"display_phone_number":"15550000001","phone_number_id":%q},"contacts":[{"wa_id":%[2]q,"user_id":"US.7%[2]s"}],`+
				`"messages":[{"from":%[2]q,"from_user_id":"US.7%[2]s","id":"wamid.L","timestamp":"%d","type":"text","text":{"body":"x"}}]}}]}]}`,
				phoneNumberID, all[i*7%total][1:], time.Now().Unix())
			mac := hmac.New(sha256.New, []byte(appSecret))
			_, _ = io.WriteString(mac, body)
			r := post(b, url, body)
			r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
			return r
		})...)
		worker, redis = worker+w.cpu()-w0, redis+s.redisCPU()-r0
	}
	slices.Sort(took)
	reportLoad(b, took, worker, redis)
}
