package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wablock/wablock/config"
)

// rootCommand puts the commands together. A new one needs a file of its own and a line here.
func (a *app) rootCommand() *cobra.Command {
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
		Args:          cobra.NoArgs,
		RunE:          a.parent,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.started = true
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "YAML `file` of settings")
	flags.BoolVar(&a.json, "json", false, "machine output on stdout: one JSON object, or one a line")
	settingFlags(flags, false)
	root.AddCommand(
		a.blockCommand(),
		a.unblockCommand(),
		a.statusCommand(),
		a.listCommand(),
		a.reconcileCommand(),
		a.deadLetterCommand(),
		a.limitsCommand(),
		a.simulatorCommand(),
		a.doctorCommand(),
		a.workerCommand(),
		a.devCommand(),
		a.versionCommand(),
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

// oneOf refuses the value of a flag that is none of the allowed.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usagef("--%s is %q; allowed: %s", flag, value, strings.Join(allowed, ", "))
}
