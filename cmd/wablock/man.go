package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// docsCommand writes documentation for those who package the program. It is not shown in the help.
func docsCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "docs", Short: "Write documentation", Hidden: true, Args: noArgs, RunE: c.parent}
	cmd.AddCommand(&cobra.Command{
		Use:   "man DIR",
		Short: "Write a man page of each command into a directory",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true                       // it has the date, and the pages are to be reproducible
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // pages for all to read
				return err
			}
			if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: buildInfo().Version, Manual: "wablock"}, args[0]); err != nil {
				return fmt.Errorf("man pages: %w", err)
			}
			return nil
		},
	})
	return cmd
}
