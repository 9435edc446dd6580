package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/schedule"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

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

// httpAddrFlag is the one flag that may be empty.
const httpAddrFlag = "http-addr"

// noEmptyFlag refuses --file "$FILE" where the variable is empty: as if not given, it would
// block, or reconcile with, something else than was meant.
func noEmptyFlag(flags *pflag.FlagSet) error {
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "string" && f.Value.String() == "" && f.Name != httpAddrFlag {
			errs = append(errs, usagef("--%s is empty: give it a value, or leave it out", f.Name))
		}
	})
	return errors.Join(errs...)
}

// oneOf refuses a value of a flag that is not among the allowed.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usagef("--%s is %q; allowed: %s", flag, value, strings.Join(allowed, ", "))
}

// values lists the values of flags that have few, for completion.
func values() map[string][]string {
	return map[string][]string{
		"queue":      queueNames(),
		"state":      jobStates(),
		"mode":       modes(),
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {"text", "json"},
	}
}

func queueNames() []string { return []string{string(ledger.Interactive), string(ledger.Bulk)} }

func jobStates() []string {
	return []string{string(tasks.JobWaiting), string(tasks.JobPlanned), string(tasks.JobDone), string(tasks.JobCanceled)}
}

func modes() []string {
	return []string{string(plan.Report), string(plan.Adopt), string(plan.Enforce), string(plan.Own)}
}

// completeValues makes the shell offer the values of flags that have few, in all commands.
func completeValues(cmd *cobra.Command) {
	for name, allowed := range values() {
		if cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
		}
	}
	for _, sub := range cmd.Commands() {
		completeValues(sub)
	}
}

// duration is a flag's duration, which may have days: 36h, 7d, 1d12h.
type duration struct{ value *time.Duration }

func (d duration) Set(s string) (err error) {
	*d.value, err = schedule.ParseDuration(s)
	return err
}

func (d duration) String() string {
	if d.value == nil || *d.value == 0 {
		return "0" // which help texts leave out
	}
	return d.value.String()
}

func (d duration) Type() string { return "duration" }

// durationVar adds a flag for a duration.
func durationVar(f *pflag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	f.Var(duration{p}, name, usage)
}
