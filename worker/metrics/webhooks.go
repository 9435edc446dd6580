package metrics

import "github.com/prometheus/client_golang/prometheus"

// webhooks counts what Meta's webhooks tell.
type webhooks struct{ events, requests *prometheus.CounterVec }

func newWebhooks() *webhooks {
	return &webhooks{
		events:   counter("webhook_events_total", "Events of Meta's webhooks, by kind.", "kind"),
		requests: counter("webhook_requests_total", "Requests with Meta's webhooks, by how they were answered.", "outcome"),
	}
}

// WebhookEvents counts events of one kind, out of a fixed set.
func (m *webhooks) WebhookEvents(kind string, n int) {
	m.events.WithLabelValues(kind).Add(float64(n))
}

// WebhookRequest counts a request by its outcome, out of a fixed set.
func (m *webhooks) WebhookRequest(outcome string) { m.requests.WithLabelValues(outcome).Inc() }
