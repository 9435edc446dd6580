package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/queues"
)

// problemDocs has a heading for each code.
const problemDocs = "https://github.com/wablock/wablock/blob/main/docs/api.md#"

// maxShownRejections bounds the rejected inputs in a problem.
const maxShownRejections = 1000

// problem is an error as the API answers it. Its texts hold nothing of the request.
type problem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail"`
	Code     string            `json:"code"`
	JobID    string            `json:"job_id,omitempty"` // to repeat the request with
	Rejected []tasks.Rejection `json:"rejected,omitempty"`

	retryAfter time.Duration
	allow      string
	cause      error // for the log
}

func (p *problem) Error() string { return p.Code + ": " + p.Detail }

func (p *problem) Unwrap() error { return p.cause }

func newProblem(status int, code, detail string) *problem {
	return &problem{Type: problemDocs + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

func unavailable(code, detail string, after time.Duration, cause error) *problem {
	p := newProblem(http.StatusServiceUnavailable, code, detail)
	p.retryAfter, p.cause = after, cause
	return p
}

// The times after which a client may try again.
const (
	retryBusy = time.Second
	retryDown = 5 * time.Second
	retryFull = 30 * time.Second
)

// asProblem returns how an error is answered. What is none of the request's fault is Redis's:
// nothing else can fail, and to repeat the request is safe.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	switch err := queues.Explain(err); {
	case errors.Is(err, tasks.ErrRedisFull):
		return unavailable("redis-full", "Redis is at its maxmemory and takes nothing more in: repeat the request later", retryFull, err)
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable("redis-unavailable", "Redis did not answer in time: repeat the request", retryDown, err)
	}
	return unavailable("redis-unavailable", "Redis could not be reached, or refused: repeat the request", retryDown, err)
}

func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.retryAfter.Seconds())))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if len(p.Rejected) > maxShownRejections {
		short := *p
		short.Rejected = p.Rejected[:maxShownRejections]
		p = &short
	}
	writeJSON(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, kind string, status int, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client is gone
}
