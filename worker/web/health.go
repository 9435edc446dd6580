package web

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	readyTimeout   = 3 * time.Second
	readyFor       = time.Second // how long an answer is given again
	metricsTimeout = 20 * time.Second
)

// alive answers /healthz: whoever runs this code lives.
func alive(w http.ResponseWriter, _ *http.Request) {
	hangUp(w)
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness answers /readyz. It stands open to anybody, so it asks no more often than once in
// readyFor however often it is asked.
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
	// The answer is for everybody: that one asker hung up must not spoil it.
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
