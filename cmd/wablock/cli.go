package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks/user"
)

// cli is one run of the program: what it got from its surroundings, and the common flags. Commands
// with flags of their own embed it.
type cli struct {
	env map[string]string
	in  io.Reader
	out io.Writer // answers
	err io.Writer // messages and progress

	json       bool
	configFile string
	started    bool // a command began: errors before are of usage
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
func (c *cli) onTerminal() bool { return terminal(c.err) }

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
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

// logger returns the log of a long-running command.
func logger(c *cli, cfg *config.Config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" || cfg.LogFormat == "" && !c.onTerminal() {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
