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

	mu    sync.Mutex
	until time.Time
	err   error
}

func (r *readiness) now(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.err
	}
	// The answer is shared: one client that hangs up must not cancel the check.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	r.err = r.check(ctx)
	r.until = time.Now().Add(readyFor)
	return r.err
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	hangUp(w)
	if err := r.now(req.Context()); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reason": maskReason(err.Error())})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ready": true})
}
