package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes the test's binary the program itself, for tests of signals.
const asProgram = "WABLOCK_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// start starts the program as a process of its own, and returns when it has said its first
// line.
func (f *fixture) start(args ...string) *exec.Cmd {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), time.Minute)
	f.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	for k, v := range f.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	cmd.Stderr = f.Output()
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		f.Fatalf("it said nothing: %v", err)
	}
	return cmd
}

func TestSignals(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for name, c := range map[string]struct {
		args   string
		signal os.Signal
		want   int
	}{
		"SIGTERM ends the simulator well": {"simulator --addr 127.0.0.1:0", syscall.SIGTERM, exitDone},
		"Ctrl-C ends it too":              {"simulator --addr 127.0.0.1:0", os.Interrupt, exitDone},
		"Ctrl-C ends a wait":              {"block --wait " + number(1), os.Interrupt, exitInterrupted},
		"SIGTERM ends a wait":             {"unblock --wait " + number(2), syscall.SIGTERM, exitInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := *f
			g.T = t
			cmd := g.start(strings.Fields(c.args)...)
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}
