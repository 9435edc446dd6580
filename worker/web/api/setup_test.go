package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wablock/wablock/worker/web/access"
	"github.com/wablock/wablock/worker/web/api"
)

const phoneNumberID = "106540352242922"

// The tokens of the tests, by scope.
const (
	reader = "reader-token"
	writer = "writer-token"
	admin  = "admin-token"
)

// num returns a made-up number.
func num(n int) string { return fmt.Sprintf("+1650%07d", 5550000+n) }

func nums(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = num(i)
	}
	return all
}

// fixture is an API on a Redis of its own, whose requests and answers are held to its description.
type fixture struct {
	*testing.T
	rdb     redis.UniversalClient
	handler http.Handler
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func setup(t *testing.T, rdb redis.UniversalClient, change ...func(*api.Config)) *fixture {
	t.Helper()
	f := &fixture{T: t, rdb: rdb, log: new(lockedBuffer)}
	cfg := api.Config{Redis: rdb, PhoneNumberID: phoneNumberID, Access: tokens(t, false), Logger: slog.New(slog.NewJSONHandler(f.log, nil))}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if f.handler, err = api.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text := f.log.String(); fullNumber.MatchString(text) {
			t.Errorf("the log shows a number: %s", text)
		}
	})
	return f
}

var fullNumber = regexp.MustCompile(`1650\d{7}`)

func tokens(t *testing.T, readOnly bool) *access.Control {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("grafana read "+reader+"\nshop write "+writer+"\nops admin "+admin), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := access.Open(access.Config{File: path, ReadOnly: readOnly})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// result is an answer that was read to its end.
type result struct {
	status int
	header http.Header
	body   string
}

// value decodes the body.
func value[V any](t *testing.T, r result) V {
	t.Helper()
	var v V
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return v
}

// do sends a request as an admin with JSON; headers are "Name: value", and override.
func (f *fixture) do(method, path, body string, headers ...string) result {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+admin)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		if value == "" {
			r.Header.Del(name)
			continue
		}
		r.Header.Add(name, value)
		if name == "Authorization" || name == "Content-Type" {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	res := w.Result()
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatal(err)
	}
	got := result{res.StatusCode, res.Header, string(b)}
	f.conform(r, body, got)
	return got
}

func (f *fixture) post(path, body string, headers ...string) result {
	f.Helper()
	return f.do(http.MethodPost, path, body, headers...)
}

// problem expects a problem of a status and code.
func (f *fixture) problem(got result, status int, code string) {
	f.Helper()
	var p struct {
		Status       int
		Code, Detail string
	}
	_ = json.Unmarshal([]byte(got.body), &p) // fails the comparison
	if got.status != status || p.Status != status || p.Code != code || got.header.Get("Content-Type") != "application/problem+json" {
		f.Errorf("got %d %s, want %d %s", got.status, got.body, status, code)
	}
	if fullNumber.MatchString(p.Detail) {
		f.Errorf("the detail shows a number: %s", p.Detail)
	}
	if status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
		f.Errorf("%s comes without Retry-After", code)
	}
}

// operation holds the description of one method of a path.
type operation struct {
	Parameters []struct {
		Ref  string `json:"$ref"`
		Name string
		In   string
	}
	RequestBody map[string]any
	Responses   map[string]any
}

// description compiles the schemas of openapi.json.
type description struct {
	compiler *jsonschema.Compiler
	paths    map[string]map[string]operation
}

var describe = sync.OnceValues(func() (*description, error) {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	d := &description{compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("openapi.json", doc); err != nil {
		return nil, err
	}
	var top struct {
		Paths map[string]map[string]operation
	}
	err = json.Unmarshal(text, &top)
	d.paths = top.Paths
	return d, err
})

// find returns where the description has a path and method, as a JSON pointer.
func (d *description) find(method, path string) (op operation, pointer string, ok bool) {
	for template, methods := range d.paths {
		pattern := "^" + regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(regexp.QuoteMeta(template), "[^/]+") + "$"
		if !regexp.MustCompile(pattern).MatchString(path) {
			continue
		}
		if op, ok := methods[strings.ToLower(method)]; ok {
			return op, "/paths/" + strings.ReplaceAll(template, "/", "~1") + "/" + strings.ToLower(method), true
		}
	}
	return op, "", false
}

// validate holds JSON to the schema at a pointer.
func (d *description) validate(pointer, text string) error {
	schema, err := d.compiler.Compile("openapi.json#" + pointer)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

var describing sync.Mutex

// conform holds a request that was taken, and every answer, to the description.
func (f *fixture) conform(r *http.Request, body string, got result) {
	f.Helper()
	describing.Lock()
	defer describing.Unlock()
	d, err := describe()
	if err != nil {
		f.Fatal(err)
	}
	kind, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
	op, at, found := d.find(r.Method, r.URL.Path)
	if !found {
		if got.status < 400 {
			f.Errorf("%s %s is not in openapi.json, and answers %d", r.Method, r.URL.Path, got.status)
		}
		return
	}
	response, pointer := op.Responses[fmt.Sprint(got.status)], fmt.Sprintf("%s/responses/%d", at, got.status)
	if response == nil {
		if got.status < 400 {
			f.Errorf("%s %s: openapi.json has no %d", r.Method, r.URL.Path, got.status)
		}
		pointer = at + "/responses/default"
		response = op.Responses["default"]
	}
	pointer = f.follow(response, pointer) + "/content/" + strings.ReplaceAll(kind, "/", "~1") + "/schema"
	if err := d.validate(pointer, got.body); err != nil && kind != "text/csv" {
		f.Errorf("%s %s = %d %s is not as openapi.json has it: %v", r.Method, r.URL.Path, got.status, got.body, err)
	}
	if got.status >= 400 {
		return
	}
	if r.Header.Get("Content-Type") == "application/json" && op.RequestBody != nil {
		pointer := f.follow(op.RequestBody, at+"/requestBody") + "/content/application~1json/schema"
		if err := d.validate(pointer, body); err != nil {
			f.Errorf("%s %s takes %.200s, which is not as openapi.json has it: %v", r.Method, r.URL.Path, body, err)
		}
	}
	for name := range r.URL.Query() {
		known := false
		for _, p := range op.Parameters {
			if p.Ref != "" { // components are named as their parameter
				p.Name = strings.ToLower(strings.ReplaceAll(p.Ref[strings.LastIndexByte(p.Ref, '/')+1:], "PhoneNumberID", "phone_number_id"))
			}
			known = known || p.Name == name
		}
		if !known {
			f.Errorf("%s %s takes the parameter %s, which openapi.json does not have", r.Method, r.URL.Path, name)
		}
	}
}

// follow returns where a reference leads to, or the place itself.
func (f *fixture) follow(v any, pointer string) string {
	if m, ok := v.(map[string]any); ok {
		if ref, ok := m["$ref"].(string); ok {
			return strings.TrimPrefix(ref, "#")
		}
	}
	return pointer
}
