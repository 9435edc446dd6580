package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// What a release build sets: -ldflags "-X main.version=v1.2.3 -X main.commit=…". Everything
// else knows it from the Go toolchain.
var version, commit string //nolint:gochecknoglobals // the linker sets variables alone

// build is the answer of `wablock version`.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with uncommitted changes
	Go       string `json:"go_version"`
	Platform string `json:"platform"`
}

func buildInfo() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if version != "" {
		b.Version = version
	}
	if commit != "" {
		b.Commit, b.Modified = commit, false
	}
	return b
}

func (b build) String() string {
	c := b.Commit
	switch {
	case c == "":
		c = "unknown"
	case b.Modified:
		c += ", modified"
	}
	return fmt.Sprintf("wablock %s (commit %s, %s, %s)", b.Version, c, b.Go, b.Platform)
}

func versionCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show version, commit and Go version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildInfo()
			if c.json {
				return printOne(c.out, b)
			}
			_, err := fmt.Fprintln(c.out, b)
			return err
		},
	}
}
