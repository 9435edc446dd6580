package web

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/wablock/wablock/worker/web/access"
)

// securityHeaders sets what every answer carries. Pages that need more than nothing set a
// Content-Security-Policy of their own over this one.
func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		// Not "no-referrer": under it some browsers send "Origin: null" with our own POSTs.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// admit lets in who may see the pages, with the caller in the context of the request.
func admit(next http.Handler, control *access.Control) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := control.Admit(r)
		switch {
		case errors.Is(err, access.ErrHost):
			hangUp(w)
			refuse(w, http.StatusMisdirectedRequest, err.Error())
		case err != nil:
			hangUp(w)
			w.Header().Set("WWW-Authenticate", `Basic realm="wablock", charset="UTF-8"`)
			refuse(w, http.StatusUnauthorized, err.Error())
		default:
			next.ServeHTTP(w, r.WithContext(access.With(r.Context(), caller)))
		}
	})
}

// inFlightLimit refuses requests while n others are being served.
func inFlightLimit(next http.Handler, n int) http.Handler {
	slots := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusServiceUnavailable, "too many requests at once; try again in a second")
		}
	})
}

// hangUp ends the connection with the answer, so that unauthorized clients hold none open.
func hangUp(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// refuse answers with a reason that a person can act upon.
func refuse(w http.ResponseWriter, status int, reason string) {
	writeJSON(w, status, map[string]string{"error": reason})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client is gone
}
