package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
)

// cli is one run of the program: what it got from its surroundings, and the common flags. Each
// command embeds it.
type cli struct {
	env map[string]string
	in  io.Reader
	out io.Writer // answers
	err io.Writer // messages and progress

	json       bool
	configFile string
	started    bool // a command began: errors before are of usage
}

// run is the program but for the process around it.
func run(ctx context.Context, args []string, env map[string]string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		// A panic must not look like wrong usage, which has the same exit code.
		if p := recover(); p != nil {
			_, _ = fmt.Fprintf(stderr, "wablock: internal error: %v\n%s", p, debug.Stack())
			code = exitFailed
		}
	}()
	c := &cli{env: env, in: interruptible(ctx, stdin), out: stdout, err: stderr}
	root := rootCommand(c)
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	cmd, err := root.ExecuteContextC(ctx)
	code = exitCode(ctx, err, c.started)
	if e, ok := errors.AsType[*exitError](err); code == exitInterrupted && (!ok || e.code != code) {
		c.say("interrupted")
	}
	report(stderr, err)
	if code == exitUsage && !c.started && cmd != nil {
		_, _ = fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return code
}

// config loads the settings for a command. Its warnings go to people.
func (c *cli) config(cmd *cobra.Command) (*config.Config, error) {
	cfg, err := c.load(cmd)
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings {
		c.say("warning: %s", w)
	}
	return cfg, nil
}

// configVariable names the configuration file where --config does not.
const configVariable = "WABLOCK_CONFIG"

// load loads the settings, until the command is interrupted: the file may be a pipe.
func (c *cli) load(cmd *cobra.Command) (*config.Config, error) {
	in := config.Input{Flags: settingsGiven(cmd.Flags()), LookupEnv: c.lookup, File: cmp.Or(c.configFile, c.env[configVariable])}
	cfg, err := interruptibly(cmd.Context(), func() (*config.Config, error) { return config.Load(in) })
	if cmd.Context().Err() != nil {
		return nil, context.Cause(cmd.Context())
	}
	if err != nil {
		return nil, &app.ConfigError{Err: err}
	}
	cfg.Warnings = append(cfg.Warnings, unknownVariables(c.env, cfg)...)
	return cfg, nil
}

func (c *cli) lookup(variable string) (string, bool) {
	v, ok := c.env[variable]
	return v, ok
}

// selected loads the settings for a command about one phone number.
func (c *cli) selected(cmd *cobra.Command) (*config.Config, config.PhoneNumber, error) {
	cfg, err := c.config(cmd)
	if err != nil {
		return nil, config.PhoneNumber{}, err
	}
	n, err := cfg.Selected()
	return cfg, n, err
}

// say writes a message for people to stderr.
func (c *cli) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "wablock: "+format+"\n", args...)
}

// onTerminal reports whether messages go to a terminal.
func (c *cli) onTerminal() bool {
	f, ok := c.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

var errHelpWanted = errors.New("name a command")

// parent is the RunE of commands that only hold others.
func (c *cli) parent(cmd *cobra.Command, _ []string) error {
	c.started = false
	cmd.SetOut(c.err)
	_ = cmd.Help()
	return errHelpWanted
}
