package web

import (
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed assets/index.html
var indexHTML string

// indexPage answers "/": the state of the worker, and links to the other pages.
func indexPage(version string, ready *readiness, metrics bool) http.Handler {
	page := template.Must(template.New("index").Parse(indexHTML))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data := struct {
			Version string
			State   readyState
			Metrics bool
		}{Version: version, State: ready.now(r.Context()), Metrics: metrics}
		w.Header().Set("Content-Security-Policy",
			"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, data) // the client is gone
	})
}
