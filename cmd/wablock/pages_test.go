package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// prose returns all pages of the tree for people, by path.
func prose(t *testing.T) map[string]string {
	t.Helper()
	all := pages(t)
	paths, err := filepath.Glob(top + "/*.md")
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d pages at the top: %v", len(paths), err)
	}
	for _, p := range paths {
		all[p] = read(t, p)
	}
	return all
}

// goFiles returns the paths of all Go files, from the top.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && (e.Name() == "testdata" || path != top && strings.HasPrefix(e.Name(), ".")) {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") {
			files = append(files, strings.TrimPrefix(filepath.ToSlash(path), top+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(read(t, readmePath), "\n"); n > 150 {
		t.Errorf("README.md has %d lines: what is not for a newcomer's first minute belongs in docs", n)
	}
}

// TestPromisesHaveTests holds the pages to the names of tests that exist.
func TestPromisesHaveTests(t *testing.T) {
	t.Parallel()
	exist := map[string]bool{}
	for _, path := range goFiles(t) {
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, top+"/"+path), -1) {
				exist[m[1]] = true
			}
		}
	}
	n := 0
	for path, text := range prose(t) {
		for _, m := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(text, -1) {
			if n++; !exist[m[1]] {
				t.Errorf("%s: no test is called %s", path, m[1])
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d tests are named", n)
	}
}

// TestLinks holds links between pages, and to files, to what exists, headings included.
func TestLinks(t *testing.T) {
	t.Parallel()
	for path, text := range prose(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := path
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(m[1]))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			} else if m[2] != "" && !slices.Contains(anchors(read(t, target)), m[2]) {
				t.Errorf("%s links to a heading that is not there: %s", path, m[0])
			}
		}
	}
}

// anchors returns the names under which a page's headings can be linked to.
func anchors(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestNamedFilesExist holds the paths of source files that pages name to the tree.
func TestNamedFilesExist(t *testing.T) {
	t.Parallel()
	for path, text := range prose(t) {
		for _, m := range regexp.MustCompile("`([a-z.]+/[\\w./-]+\\.(?:go|lua))`").FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(top, m[1])); err != nil {
				t.Errorf("%s names a file that is not there: %s", path, m[1])
			}
		}
	}
}

// TestDocsNameFiles holds the files that the comments of doc.go name to the package and its neighbours.
func TestDocsNameFiles(t *testing.T) {
	t.Parallel()
	files := goFiles(t)
	for _, path := range files {
		if filepath.Base(path) != "doc.go" {
			continue
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		for _, name := range regexp.MustCompile(`[a-z_]+\.go\b`).FindAllString(read(t, top+"/"+path), -1) {
			near := func(f string) bool { return strings.HasPrefix(f, dir+"/") && filepath.Base(f) == name }
			if !slices.ContainsFunc(files, near) {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
	}
}

// TestEveryPackageIsNamed holds docs/architecture.md to the packages there are.
func TestEveryPackageIsNamed(t *testing.T) {
	t.Parallel()
	text := read(t, top+"/docs/architecture.md")
	var packages []string
	for _, path := range goFiles(t) {
		packages = append(packages, filepath.ToSlash(filepath.Dir(path)))
	}
	slices.Sort(packages)
	for _, p := range slices.Compact(packages) {
		if !strings.Contains(text, "`"+p+"`") {
			t.Errorf("docs/architecture.md does not name %s", p)
		}
	}
}

// TestEveryKeyIsNamed holds the table of keys in docs/architecture.md to what commands and a worker leave in Redis.
func TestEveryKeyIsNamed(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(read(t, top+"/docs/architecture.md"), "\n## Redis\n")
	text, _, _ = strings.Cut(text, "\n## ")
	places := strings.NewReplacer(`\{P\}`, `\{\d+\}`, "QUEUE", `\w+`, "OPERATION", `\w+`, "KIND", `\w+`, "ID", `[^:]+`, ":N", `:\d+`, `\{account:A\}`, `\{account:\w+\}`, "…", `wablock:\{\d+\}[a-z:]*`)
	var named []*regexp.Regexp
	for _, m := range regexp.MustCompile("`((?:wablock|…):[^`]*)`").FindAllStringSubmatch(text, -1) {
		named = append(named, regexp.MustCompile("^"+places.Replace(regexp.QuoteMeta(m[1]))+"$"))
	}
	f := setup(t)
	f.worker()
	f.wablock("block", "--wait", "--by", "ops", "--reason", "spam", "--for", "7d", number(1), number(2)).exits(exitDone)
	f.wablock("block", "--delay", "1h", number(3)).exits(exitDone)
	f.wablock("unblock", "--wait", number(2)).exits(exitDone)
	f.wablock("protect", "add", "--reason", "staff", number(4)).exits(exitDone)
	f.wablock("heard", number(1)).exits(exitDone)
	f.wablock("limits", "cap", "20").exits(exitDone)
	f.wablock("reconcile", "--apply").exits(exitDone)
	f.wablock("pause", "--reason", "wrong file").exits(exitDone)
	f.wablock("block", number(5)).exits(exitDone)
	keys, err := f.rdb.Keys(t.Context(), "wablock:*").Result()
	if err != nil || len(keys) < 15 {
		t.Fatalf("%v, %v", keys, err)
	}
	for _, key := range keys {
		if !slices.ContainsFunc(named, func(r *regexp.Regexp) bool { return r.MatchString(key) }) {
			t.Errorf("docs/architecture.md does not name the key %s", key)
		}
	}
}
