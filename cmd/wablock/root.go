package main

import (
	"github.com/spf13/cobra"
)

// rootCommand puts the commands together. A new one needs a file of its own and a line here.
func rootCommand(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "wablock",
		Short: "Block and unblock WhatsApp users, in order and with nothing lost",
		Long: `wablock queues requests to block and unblock WhatsApp users, and its workers carry
them out through Meta's Block Users API as fast as that API allows.

Settings come from flags, then the environment (WABLOCK_…), then the --config file
(or $WABLOCK_CONFIG).
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part,
130 interrupted.`,
		Version:       buildInfo().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          c.parent,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := noEmptyFlag(cmd.Flags()); err != nil {
				return err
			}
			c.started = true
			return nil
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVar(&c.configFile, "config", "", "YAML `file` of settings ($"+configVariable+")")
	flags.BoolVar(&c.json, "json", false, "machine output on stdout: one JSON object, or one a line")
	settingFlags(flags, false)
	root.AddCommand(
		blockCommand(c),
		unblockCommand(c),
		statusCommand(c),
		heardCommand(c),
		jobsCommand(c),
		jobCommand(c),
		cancelCommand(c),
		undoCommand(c),
		listCommand(c),
		reconcileCommand(c),
		deadLetterCommand(c),
		limitsCommand(c),
		topCommand(c),
		auditCommand(c),
		pauseCommand(c),
		protectCommand(c),
		resumeCommand(c),
		simulatorCommand(c),
		doctorCommand(c),
		workerCommand(c),
		devCommand(c),
		versionCommand(c),
		docsCommand(c),
	)
	root.SetOut(c.out)
	root.SetErr(c.err)
	refuseUnknown(c, root)
	completeValues(root)
	return root
}

// refuseUnknown makes "help" and "completion", which are cobra's, refuse what they don't know. Root's
// outputs are set before: cobra keeps them for the completions.
func refuseUnknown(c *cli, root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Args, cmd.RunE = noArgs, c.parent
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if found, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return noArgs(found, append(rest, args...)[:1])
				}
				return nil
			}
		}
	}
}
