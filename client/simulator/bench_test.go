package simulator_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/wablock/wablock/client/simulator"
)

// BenchmarkBlock1000 measures a full call: other benchmarks run against it.
func BenchmarkBlock1000(b *testing.B) {
	s, err := simulator.New(simulator.Config{Scenario: simulator.Scenario{
		Window: simulator.Window{SilentShare: 0.02},
		Faults: []simulator.Fault{{Effect: simulator.EffectFailUser, Probability: 0.05}},
		Limits: []simulator.Limit{{Rate: 1e6, Burst: 1000}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	text := body(users(1000)...)
	b.ReportAllocs()
	for b.Loop() {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			s.ServeHTTP(httptest.NewRecorder(), request(method, "/v25.0/1/block_users", text))
		}
	}
}
