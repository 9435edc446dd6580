package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// monitorPage is asynqmon's one HTML page and what belongs to it. The page is asynqmon's, less
// its links to fonts elsewhere, plus a script that shows why an action was refused.
type monitorPage struct {
	html string
	csp  string
}

var (
	//go:embed assets/monitor.js
	monitorJS string
	//go:embed assets/monitor.css
	monitorCSS string

	inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	// Fonts of another site; and the manifest, which browsers fetch without credentials.
	foreignLink = regexp.MustCompile(`<link rel="(?:stylesheet" href="https?:|manifest")[^>]*>`)
)

// newMonitorPage takes the page from asynqmon, and allows the scripts that are written into it
// by their hashes and no others.
func newMonitorPage(inner http.Handler) (*monitorPage, error) {
	r, err := http.NewRequest(http.MethodGet, monitorRoot+"/", nil) //nolint:noctx // never sent
	if err != nil {
		return nil, fmt.Errorf("web: ask asynqmon for its page: %w", err)
	}
	var c capture
	inner.ServeHTTP(&c, r)
	page := c.body.String()
	if c.status() != http.StatusOK || !strings.Contains(page, "</head>") {
		return nil, fmt.Errorf("web: asynqmon gave no page: status %d", c.status())
	}
	page = foreignLink.ReplaceAllString(page, "")
	page = strings.Replace(page, "<title>Asynq - Monitoring</title>", "<title>wablock queues</title>", 1)
	page = strings.Replace(page, "</head>", `<link rel="stylesheet" href="`+monitorRoot+`/wablock.css"/>`+
		`<script src="`+monitorRoot+`/wablock.js"></script></head>`, 1)

	var hashes strings.Builder
	for _, script := range inlineScript.FindAllStringSubmatch(page, -1) {
		sum := sha256.Sum256([]byte(script[1]))
		fmt.Fprintf(&hashes, " 'sha256-%s'", base64.StdEncoding.EncodeToString(sum[:]))
	}
	return &monitorPage{
		html: page,
		// asynqmon's style library writes <style> elements at run time, and its charts attributes.
		csp: "default-src 'none'; script-src 'self'" + hashes.String() + "; style-src 'self' 'unsafe-inline'; " +
			"img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}, nil
}

// serve answers everything under /monitor/ that is not the API: files, and the page for each
// path that the page itself resolves.
func (p *monitorPage) serve(w http.ResponseWriter, r *http.Request, inner http.Handler) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "pages are read with GET")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, monitorRoot)
	switch {
	case path == "/wablock.js":
		serveText(w, "text/javascript", monitorJS)
	case path == "/wablock.css":
		serveText(w, "text/css", monitorCSS)
	case path == "/q/metrics", path == "/redis": // pages without an API behind them
		http.Redirect(w, r, monitorRoot+"/", http.StatusSeeOther)
	case strings.HasPrefix(path, "/static/"):
		// Their names change with their content.
		serveFile(w, r, inner, "private, max-age=86400, immutable")
	case strings.Count(path, "/") == 1 && strings.Contains(path, "."):
		serveFile(w, r, inner, "private, max-age=3600")
	default:
		w.Header().Set("Content-Security-Policy", p.csp)
		serveText(w, "text/html", p.html)
	}
}

// serveFile passes a file of asynqmon's on; what it does not have it answers with its page, for
// which there is no place under a file's name.
func serveFile(w http.ResponseWriter, r *http.Request, inner http.Handler, cache string) {
	var c capture
	inner.ServeHTTP(&c, r)
	kind := c.Header().Get("Content-Type")
	if c.status() != http.StatusOK || kind == "" || strings.HasPrefix(kind, "text/html") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", cache)
	_, _ = w.Write(c.body.Bytes())
}

func serveText(w http.ResponseWriter, kind, text string) {
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	_, _ = w.Write([]byte(text))
}
