package web

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	readyTimeout   = 3 * time.Second
	readyFor       = time.Second // an answer is reused for this long
	metricsTimeout = 20 * time.Second
)

// alive answers /healthz: a process that runs this lives.
func alive(w http.ResponseWriter, _ *http.Request) {
	hangUp(w)
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness answers /readyz. It needs no token, so it checks at most once in readyFor, however
// often it is requested.
type readiness struct {
	check func(ctx context.Context) error
	list  func() []string

	mu    sync.Mutex
	until time.Time
	state readyState
}

// readyState is the answer of /readyz. It shows phone number IDs, but no users.
type readyState struct {
	Ready    bool     `json:"ready"`
	Reason   string   `json:"reason,omitempty"`
	Problems []string `json:"problems,omitempty"` // of single phone number IDs
}

func (r *readiness) now(ctx context.Context) readyState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.state
	}
	// The answer is shared: one client that hangs up must not cancel the check.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	r.state = readyState{Ready: true}
	if err := r.check(ctx); err != nil {
		r.state = readyState{Reason: maskReason(err.Error())}
	}
	for _, p := range r.list() {
		r.state.Problems = append(r.state.Problems, maskReason(p))
	}
	r.until = time.Now().Add(readyFor)
	return r.state
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	hangUp(w)
	state := r.now(req.Context())
	status := http.StatusOK
	if !state.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, state)
}
