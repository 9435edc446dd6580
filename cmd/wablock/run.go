package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/wablock/wablock/config"
)

// app is one run of the program: what it got from its surroundings, and the common flags.
type app struct {
	lookupEnv func(string) (string, bool)
	in        io.Reader
	out       io.Writer // answers
	err       io.Writer // messages and progress

	json       bool
	configFile string
	started    bool  // a command began: errors before are of usage
	unprinted  error // of print
}

// run is the program but for the process around it.
func run(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{lookupEnv: lookupEnv, in: interruptible(ctx, stdin), out: stdout, err: stderr}
	root := a.rootCommand()
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCode(ctx, err, a.started)
	if e, ok := errors.AsType[*exitError](err); code == exitInterrupted && (!ok || e.code != code) {
		a.say("interrupted")
	}
	report(stderr, err)
	if code == exitUsage && !a.started && cmd != nil {
		_, _ = fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return code
}

// config loads the settings for a command. Its warnings go to people.
func (a *app) config(cmd *cobra.Command) (*config.Config, error) {
	cfg, err := a.load(cmd)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	for _, w := range cfg.Warnings {
		a.say("warning: %s", w)
	}
	return cfg, nil
}

func (a *app) load(cmd *cobra.Command) (*config.Config, error) {
	return config.Load(config.Input{Flags: settingsGiven(cmd.Flags()), LookupEnv: a.lookupEnv, File: a.configFile})
}

// selected loads the settings for a command about one phone number.
func (a *app) selected(cmd *cobra.Command) (*config.Config, config.PhoneNumber, error) {
	cfg, err := a.config(cmd)
	if err != nil {
		return nil, config.PhoneNumber{}, err
	}
	n, err := cfg.Selected()
	return cfg, n, err
}

// connectTimeout bounds the first answer of Redis, for people who wait in front of it.
const connectTimeout = 10 * time.Second

// connect returns a client of a Redis that answers. The caller closes it.
func (a *app) connect(ctx context.Context, cfg *config.Config) (redis.UniversalClient, error) {
	rdb := cfg.Redis.Client()
	ping, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := rdb.Ping(ping).Err(); err != nil {
		_ = rdb.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &redisError{cfg.Redis.String(), err}
	}
	return rdb, nil
}

// redisError is a Redis that does not answer.
type redisError struct {
	at  string
	err error
}

func (e *redisError) Error() string {
	what, help := e.fault()
	return fmt.Sprintf("Redis at %s; %s; `wablock doctor` looks closer", what, help)
}

// fault says what is wrong, and what to do about it.
func (e *redisError) fault() (what, help string) {
	if redis.HasErrorPrefix(e.err, "NOAUTH") || redis.HasErrorPrefix(e.err, "WRONGPASS") {
		return fmt.Sprintf("%s lets nobody in without the right password: %v", e.at, e.err), "put user and password into WABLOCK_REDIS_URL"
	}
	return fmt.Sprintf("%s does not answer: %v", e.at, e.err), "start Redis 6.2 or later, or correct WABLOCK_REDIS_URL"
}

func (e *redisError) Unwrap() error { return e.err }

// say tells people something, on stderr.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, "wablock: "+format+"\n", args...)
}

// onTerminal reports whether messages are read by somebody right now.
func (a *app) onTerminal() bool {
	f, ok := a.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

var errHelpWanted = errors.New("name a command")

// parent is the RunE of commands that only hold others.
func (a *app) parent(cmd *cobra.Command, _ []string) error {
	a.started = false
	cmd.SetOut(a.err)
	_ = cmd.Help()
	return errHelpWanted
}
