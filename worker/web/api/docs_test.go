package api_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wablock/wablock/tasks/redistest"
)

// TestExamples runs the Python and the Node of docs/api.md as processes. They skip where these are not
// installed, or fail where WABLOCK_TEST_REQUIRE_CLIENTS is set, so that CI cannot pass by skipping.
func TestExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ language, program, file string }{{"python", "python3", "example.py"}, {"js", "node", "example.mjs"}} {
		t.Run(c.program, func(t *testing.T) {
			t.Parallel()
			m := regexp.MustCompile("(?s)```" + c.language + "\n(.*?)```").FindSubmatch(page)
			if m == nil {
				t.Fatalf("docs/api.md has no example in %s", c.language)
			}
			program, err := exec.LookPath(c.program)
			if err != nil {
				why := c.program + " is not installed: the example in docs/api.md is not run"
				if os.Getenv("WABLOCK_TEST_REQUIRE_CLIENTS") != "" {
					t.Fatal(why)
				}
				t.Skip(why)
			}
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, m[1], 0o600); err != nil {
				t.Fatal(err)
			}
			_, rdb := redistest.Mini(t)
			server := httptest.NewServer(setup(t, rdb).handler)
			t.Cleanup(server.Close)
			cmd := exec.CommandContext(t.Context(), program, path)
			cmd.Env = append(os.Environ(), "API_URL="+server.URL, "API_TOKEN="+writer)
			out, err := cmd.CombinedOutput()
			want := fmt.Sprintf("report-%s 1\npending", strings.TrimSuffix(c.program, "3"))
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}
