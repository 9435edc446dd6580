package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManPages(t *testing.T) {
	t.Parallel()
	f := setup(t)
	dir := filepath.Join(t.TempDir(), "man1")
	f.wablock("docs", "man", dir).exits(exitDone)
	for name, want := range map[string]string{"wablock.1": "SYNOPSIS", "wablock-block.1": `--job-id`, "wablock-dead-letter-redrive.1": `--older-than`} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(page), want) {
			t.Errorf("%s has no %s: %v", name, want, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "wablock-docs.1")); err == nil {
		t.Error("a hidden command has a page")
	}
	f.wablock("docs", "man").exits(exitUsage)
	f.wablock("docs", "man", "/dev/null/x").exits(exitFailed)
}
