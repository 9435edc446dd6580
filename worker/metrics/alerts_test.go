package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/web/overview"
)

// rules is the part of deploy/prometheus-rules.yaml that is compared with other files.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Record, Expr string
			Labels, Annotations map[string]string
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readRules(t *testing.T) (r rules) {
	t.Helper()
	if err := yaml.Unmarshal(read(t, "../../deploy/prometheus-rules.yaml"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAlertsHaveRunbooks: an alert at three in the morning names its page, and the page says what it
// means, what to do, and how to see that it helped.
func TestAlertsHaveRunbooks(t *testing.T) {
	t.Parallel()
	pages, err := os.ReadDir("../../docs/runbooks")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, p := range pages {
		missing[p.Name()] = true
	}
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			page := rule.Alert + ".md"
			delete(missing, page)
			if a := rule.Annotations; a["summary"] == "" || a["action"] == "" || !strings.HasSuffix(a["runbook"], "/docs/runbooks/"+page) {
				t.Errorf("%s: no summary, action or runbook", rule.Alert)
			}
			if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q", rule.Alert, s)
			}
			headings := regexp.MustCompile(`(?m)^#+ .*$`).FindAllString(string(read(t, "../../docs/runbooks/"+page)), -1)
			if want := []string{"# " + rule.Alert, "## Symptom", "## Metric", "## Action", "## Verification"}; !slices.Equal(headings, want) {
				t.Errorf("%s has the sections %q", page, headings)
			}
		}
	}
	for page := range missing {
		t.Errorf("docs/runbooks/%s belongs to no alert", page)
	}
}

// TestAlertsHaveTests: each alert fires in one of promtool's tests and is silent in another.
func TestAlertsHaveTests(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert  string `yaml:"alertname"`
				Alerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(read(t, "../../deploy/prometheus-rules.test.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Alerts) > 0 {
				fires[c.Alert] = true
			} else {
				silent[c.Alert] = true
			}
		}
	}
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			if rule.Alert != "" && (!fires[rule.Alert] || !silent[rule.Alert]) {
				t.Errorf("%s: tested to fire: %v, to be silent: %v", rule.Alert, fires[rule.Alert], silent[rule.Alert])
			}
		}
	}
}

// described returns the labels of every metric of a worker, by its name.
func described(t *testing.T) map[string][]string {
	t.Helper()
	_, rdb := redistest.Mini(t)
	m := metrics.New("v1.2.3")
	if err := errors.Join(m.WatchQueues(rdb), m.WatchOverview(func(context.Context) overview.Overview { return overview.Overview{} })); err != nil {
		t.Fatal(err)
	}
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		m.Registry().Describe(ch)
	}()
	form := regexp.MustCompile(`fqName: "([^"]+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	found := map[string][]string{}
	for d := range ch {
		parts := form.FindStringSubmatch(d.String())
		if parts == nil {
			t.Fatalf("%v is not of the form that is known", d)
		}
		var labels []string
		for label := range strings.SplitSeq(parts[2]+","+parts[3], ",") {
			name, _, _ := strings.Cut(label, "=")
			labels = append(labels, strings.TrimSpace(name))
		}
		found[parts[1]] = labels
	}
	return found
}

var (
	series  = regexp.MustCompile(`\b((?:wablock|process|go)_[a-z_0-9]+|wablock:[a-z_:0-9]+)(?:\{([^}]*)\})?`)
	matcher = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	grouped = regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
)

// faults returns what a query asks for that no worker and no rule provides.
func faults(query string, known map[string][]string) (list []string) {
	for _, found := range series.FindAllStringSubmatch(query, -1) {
		name := found[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if short, ok := strings.CutSuffix(name, suffix); ok && known[short] != nil {
				name = short
			}
		}
		labels, ok := known[name]
		if !ok {
			list = append(list, "no metric is called "+name)
			continue
		}
		for _, m := range matcher.FindAllStringSubmatch(found[2], -1) {
			if !slices.Contains(append(labels, "job", "instance"), m[1]) {
				list = append(list, fmt.Sprintf("%s has no label %s", name, m[1]))
			}
		}
	}
	all := []string{"job", "instance", "le", ""}
	for _, found := range series.FindAllStringSubmatch(query, -1) {
		all = append(all, known[found[1]]...)
	}
	for _, found := range grouped.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(found[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(all, label) {
				list = append(list, "no series of it has the label "+label)
			}
		}
	}
	return list
}

// TestQueriesFindSeries holds alerts and dashboard to the metrics that workers have.
func TestQueriesFindSeries(t *testing.T) {
	t.Parallel()
	known := described(t)
	queries := map[string]string{}
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			queries[rule.Alert+rule.Record] = rule.Expr
			if rule.Record != "" {
				known[rule.Record] = []string{"phone_number_id"}
			}
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read(t, "../../deploy/grafana/wablock.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for i, target := range p.Targets {
			queries[fmt.Sprint(p.Title, " ", i)] = target.Expr
		}
	}
	if len(queries) < 40 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	for name, query := range queries {
		if !series.MatchString(query) {
			t.Errorf("%s asks for nothing of a worker: %s", name, query)
		}
		for _, fault := range faults(query, known) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	if got := faults(`sum by (color) (wablock_no{a="b"}) / wablock_lane_state{colour="x"}`, known); len(got) != 3 {
		t.Errorf("a wrong query has the faults %q", got)
	}
}
