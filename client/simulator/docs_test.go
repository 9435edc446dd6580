package simulator_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/user"
)

func readDocs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows returns the first two cells of the rows of a table, found by its head.
func rows(t *testing.T, head string) [][2]string {
	t.Helper()
	_, rest, ok := strings.Cut(readDocs(t), "\n| "+head+" |")
	if !ok {
		t.Fatalf("docs/simulator.md has no table that starts with %q", head)
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var out [][2]string
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.SplitN(strings.Trim(line, "| "), " | ", 3)
		out = append(out, [2]string{cells[0], cells[1]})
	}
	return out
}

func TestDocsListTheTestNumbers(t *testing.T) {
	t.Parallel()
	var want [][2]string
	for _, n := range simulator.TestNumbers() {
		want = append(want, [2]string{"`" + n.Number + "`", n.Meaning})
		if id, err := user.Parse(n.Number); err != nil || id.Reveal() != n.Number {
			t.Errorf("%s is no number that wablock accepts: %v", n.Number, err)
		}
	}
	if diff := cmp.Diff(want, rows(t, "number")); diff != "" {
		t.Error(diff)
	}
}

func TestDocsListTheEffects(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, e := range simulator.Effects() {
		want = append(want, "`"+string(e)+"`")
	}
	for _, row := range rows(t, "effect") {
		got = append(got, row[0])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// settingsOf walks a scenario and returns each setting's path with its value as docs write it.
func settingsOf(prefix string, v reflect.Value) [][2]string {
	var out [][2]string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		isStructs := f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct
		switch {
		case isStructs:
			out = append(out, settingsOf(prefix+name+"[].", f.Index(0))...)
		case f.Kind() == reflect.Struct:
			out = append(out, settingsOf(prefix+name+".", f)...)
		case f.Kind() == reflect.String && f.String() == "", f.Kind() == reflect.Slice, f.Kind() == reflect.Pointer:
			out = append(out, [2]string{prefix + name, "none"})
		case f.Type() == reflect.TypeFor[simulator.Duration]():
			text, _ := f.Interface().(simulator.Duration).MarshalText() // never fails
			out = append(out, [2]string{prefix + name, "`" + string(text) + "`"})
		default:
			out = append(out, [2]string{prefix + name, fmt.Sprintf("`%v`", f)})
		}
	}
	return out
}

func TestDocsListTheSettings(t *testing.T) {
	t.Parallel()
	sc := setup(t, simulator.Scenario{
		PhoneNumbers: []simulator.PhoneNumber{{ID: "1"}},
		Users:        []simulator.User{{UserID: "US.1"}},
		Tokens:       []simulator.Token{{Token: "x"}},
		Limits:       []simulator.Limit{{Rate: 1}},
		Faults:       []simulator.Fault{{Effect: simulator.EffectReset}},
	}).Scenario()
	sc.Limits[0].Rate, sc.Users[0].UserID = 0, ""
	documented := map[string]string{}
	for _, row := range rows(t, "setting") {
		documented[strings.Trim(row[0], "`")] = row[1]
	}
	value := regexp.MustCompile("^(none|`[^`]*`)$") // others are prose: "required", "the effect"
	for _, s := range settingsOf("", reflect.ValueOf(sc)) {
		got, ok := documented[s[0]]
		delete(documented, s[0])
		switch {
		case !ok:
			t.Errorf("%s is not documented", s[0])
		case got != s[1] && value.MatchString(got):
			t.Errorf("%s: the docs say %s, the default is %s", s[0], got, s[1])
		}
	}
	for name := range documented {
		t.Errorf("%s is documented but does not exist", name)
	}
}

func TestDocsShowTheScenario(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(readDocs(t), "```yaml\n"+string(file)+"```") {
		t.Error("the YAML in docs/simulator.md is not testdata/scenario.yaml")
	}
}

func TestDocsListTheControls(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{})
	help := g.raw(httptest.NewRequest("GET", "/_simulator/", nil))
	var documented []string
	for _, row := range rows(t, "request") {
		documented = append(documented, strings.Trim(row[0], "`"))
	}
	for _, line := range regexp.MustCompile(`(?m)^ {2}(GET|PUT|POST) +(/_simulator/\S*)`).FindAllStringSubmatch(help, -1) {
		if !slices.Contains(documented, line[1]+" "+line[2]) {
			t.Errorf("%s %s is in the help page, not in the docs", line[1], line[2])
		}
	}
	for _, d := range documented {
		method, path, _ := strings.Cut(d, " ")
		if r := g.control(method, strings.TrimPrefix(path, "/_simulator"), "{}"); r.Status == 404 || r.Status == 405 {
			t.Errorf("%s does not exist", d)
		}
		if !strings.Contains(help, path) {
			t.Errorf("%s is not in the help page", d)
		}
	}
}
