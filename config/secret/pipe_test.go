//go:build unix

package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wablock/wablock/config/secret"
)

// TestOnlyRegularFiles: opening a pipe without a writer would wait for ever, at start and under a running worker.
func TestOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), name+" is no regular file") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, path := range []string{pipe, dir, "/dev/zero", "/dev/null"} {
		_, err := secret.File(path)
		refused(path, err)
	}

	// A link to a file is how Kubernetes mounts a secret.
	link := filepath.Join(dir, "token")
	point := func(to string) {
		t.Helper()
		if err := errors.Join(os.Symlink(to, link+".new"), os.Rename(link+".new", link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "v1"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	point("v1")
	s, err := secret.File(link)
	if err != nil || s.Get().Reveal() != "one" {
		t.Fatalf("through a link: %q, %v", s.Get().Reveal(), err)
	}
	point("pipe")
	changed, err := s.Reload()
	refused(link, err)
	if changed || s.Get().Reveal() != "one" {
		t.Errorf("changed %v, now %q", changed, s.Get().Reveal())
	}
}
