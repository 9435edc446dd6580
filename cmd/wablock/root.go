package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks/user"
)

// rootCommand puts the commands together. A new one needs a file of its own and a line here.
func rootCommand(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "wablock",
		Short: "Block and unblock WhatsApp users, in order and with nothing lost",
		Long: `wablock queues requests to block and unblock WhatsApp users, and its workers carry
them out through Meta's Block Users API as fast as that API allows.

Settings come from flags, then the environment (WABLOCK_…), then the --config file.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part,
130 interrupted.`,
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
	flags := root.PersistentFlags()
	flags.StringVar(&c.configFile, "config", "", "YAML `file` of settings")
	flags.BoolVar(&c.json, "json", false, "machine output on stdout: one JSON object, or one a line")
	settingFlags(flags, false)
	root.AddCommand(
		blockCommand(c),
		unblockCommand(c),
		statusCommand(c),
		listCommand(c),
		reconcileCommand(c),
		deadLetterCommand(c),
		limitsCommand(c),
		simulatorCommand(c),
		doctorCommand(c),
		workerCommand(c),
		devCommand(c),
		versionCommand(c),
	)
	return root
}

// settingFlags adds a flag for each setting that has one: those of long-running commands, or
// those that every command has.
func settingFlags(flags *pflag.FlagSet, worker bool) {
	for _, s := range config.Settings() {
		if s.Flag == "" || s.Worker != worker {
			continue
		}
		usage := strings.ReplaceAll(s.Meaning, "`", "") + " ("
		if s.Default != "" {
			usage += "default " + strings.ReplaceAll(s.Default, "`", "") + ", "
		}
		flags.String(s.Flag, "", usage+"$"+s.Variable+")")
	}
}

// settingsGiven returns the values of the settings' flags that were given.
func settingsGiven(flags *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	for _, s := range config.Settings() {
		if f := flags.Lookup(cmp.Or(s.Flag, "-")); f != nil && f.Changed {
			given[s.Flag] = f.Value.String()
		}
	}
	return given
}

// suggestFrom is the largest edit distance of a mistyped command that is still recognised.
const suggestFrom = 2

// noArgs refuses arguments. Of a command that has others it says which may have been meant.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !cmd.HasSubCommands():
		return usagef("%s takes no arguments, and was given %d", cmd.CommandPath(), len(args))
	}
	text := fmt.Sprintf("unknown command %q for %q", user.Scrub(args[0]), cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = suggestFrom
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		text += "; did you mean " + strings.Join(meant, " or ") + "?"
	}
	return usagef("%s", text)
}

// noEmptyFlag refuses --file "$FILE" where nothing is in the variable: taken for not given, it
// would block, or reconcile with, something else than was meant.
func noEmptyFlag(flags *pflag.FlagSet) error {
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && f.Name != httpAddrFlag {
			errs = append(errs, usagef("--%s is empty: give it a value, or leave it out", f.Name))
		}
	})
	return errors.Join(errs...)
}

// httpAddrFlag is the one that means something when it is empty.
const httpAddrFlag = "http-addr"

// oneOf refuses the value of a flag that is none of the allowed.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usagef("--%s is %q; allowed: %s", flag, value, strings.Join(allowed, ", "))
}
