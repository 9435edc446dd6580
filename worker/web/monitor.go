package web

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/worker/web/access"
)

const (
	monitorRoot = "/monitor"
	apiRoot     = monitorRoot + "/api/"
	// maxPageSize is the largest page that asynqmon's own pages ask for.
	maxPageSize = 100
)

// monitor serves asynqmon under /monitor/: masked, and read only but for single dead letters.
type monitor struct {
	inner   http.Handler
	page    *monitorPage
	changes *changes
}

func newMonitor(rdb redis.UniversalClient, control *access.Control, log *slog.Logger) (*monitor, error) {
	shared := monitorRedis{rdb}
	m := &monitor{
		changes: &changes{inspector: asynq.NewInspectorFromRedisClient(shared), rdb: rdb, dead: deadletter.New(rdb), access: control, log: log},
		// asynqmon is never closed: its Close closes the client, which is not its own.
		inner: asynqmon.New(asynqmon.Options{
			RootPath:         monitorRoot,
			RedisConnOpt:     shared,
			ReadOnly:         true, // changes makes them
			PayloadFormatter: asynqmon.PayloadFormatterFunc(showPayload),
			ResultFormatter:  asynqmon.ResultFormatterFunc(func(_ string, b []byte) string { return maskBytes(b) }),
		}),
	}
	var err error
	if m.page, err = newMonitorPage(m.inner); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, apiRoot) {
		m.page.serve(w, r, m.inner)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, apiRoot)
	switch r.Method {
	case http.MethodGet:
		m.serveRead(w, r, path)
	case http.MethodPost, http.MethodDelete:
		m.changes.serve(w, r, path)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		refuse(w, http.StatusMethodNotAllowed, "the API takes GET, POST and DELETE")
	}
}

// serveRead lets asynqmon answer, and masks what it says.
func (m *monitor) serveRead(w http.ResponseWriter, r *http.Request, path string) {
	if path == "metrics" {
		// asynqmon would ask a Prometheus server, and none is configured.
		http.Error(w, "wablock's metrics are at /metrics, for Prometheus to collect", http.StatusNotFound)
		return
	}
	r = r.Clone(r.Context())
	r.URL.RawPath = ""
	r.URL.RawQuery = boundPage(r.URL.Query()).Encode()
	var c capture
	m.inner.ServeHTTP(&c, r)
	if c.status() >= http.StatusBadRequest {
		// Errors stay text: asynqmon's pages print them, and break on an object.
		http.Error(w, maskText(strings.TrimSpace(c.body.String())), c.status())
		return
	}
	if c.body.Len() == 0 {
		w.WriteHeader(c.status())
		return
	}
	v, ok := decodeJSON(c.body.Bytes())
	if !ok { // a path that the API does not have gets asynqmon's page
		http.Error(w, "asynqmon's API has no such path", http.StatusNotFound)
		return
	}
	writeJSON(w, c.status(), maskAnswer("", v))
}

// boundPage limits a page's size and number to what costs Redis little.
func boundPage(q url.Values) url.Values {
	bound := func(name string, least, most int) {
		if !q.Has(name) {
			return
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil {
			q.Del(name)
			return
		}
		q.Set(name, strconv.Itoa(min(max(n, least), most)))
	}
	bound("size", 1, maxPageSize)
	bound("page", 1, 1<<30)
	return q
}

// capture keeps an answer in memory. Those of asynqmon are bounded: a page of tasks, each cut short.
type capture struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (c *capture) Header() http.Header {
	if c.header == nil {
		c.header = make(http.Header)
	}
	return c.header
}

func (c *capture) WriteHeader(code int) {
	if c.code == 0 {
		c.code = code
	}
}

func (c *capture) Write(b []byte) (int, error) { return c.body.Write(b) }

func (c *capture) status() int {
	if c.code == 0 {
		return http.StatusOK
	}
	return c.code
}
