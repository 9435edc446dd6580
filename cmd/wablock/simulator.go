package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/client/simulator"
)

// simulate serves the simulated API at an address, with a scenario if one is named.
type simulate struct {
	*cli
	addr, scenario string
}

func simulatorCommand(parent *cli) *cobra.Command {
	c := &simulate{cli: parent}
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Run the simulated Block Users API alone",
		Long: `Runs a simulated Block Users API, for tests of programs that call the real one. It keeps
its blocklists in memory, accepts any token unless the scenario says otherwise, and asks for
no password at its control endpoints: keep it on loopback, or inside a network of your own.`,
		Example: "  wablock simulator --addr 127.0.0.1:0 --json\n  WABLOCK_GRAPH_URL=http://127.0.0.1:8090 WABLOCK_ACCESS_TOKEN=any wablock worker",
		Args:    noArgs,
		RunE:    c.run,
	}
	cmd.Flags().StringVar(&c.addr, "addr", "127.0.0.1:8090", "`address` to listen on; port 0 picks a free one")
	cmd.Flags().StringVar(&c.scenario, "scenario", "", "YAML or JSON `file` that says how it behaves")
	return cmd
}

func (c *simulate) run(cmd *cobra.Command, _ []string) error {
	_, port, err := net.SplitHostPort(c.addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return usagef("--addr is %q; allowed: host:port such as 127.0.0.1:8090", c.addr)
	}
	cfg, err := c.config(cmd)
	if err != nil {
		return err
	}
	log := logger(c.cli, cfg, c.err)
	sim := simulator.Config{Logger: log}
	if c.scenario != "" {
		if sim.Scenario, err = simulator.LoadScenario(c.scenario); err != nil {
			return &exitError{code: exitUsage, text: "--scenario", err: err}
		}
	}
	handler, err := simulator.New(sim)
	if err != nil {
		return &exitError{code: exitUsage, text: "--scenario", err: err}
	}
	l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", c.addr)
	if err != nil {
		return &exitError{code: exitFailed, text: "--addr", err: err}
	}
	url := "http://" + l.Addr().String()
	if c.json {
		err = printOne(c.out, map[string]string{"url": url, "addr": l.Addr().String()})
	} else {
		_, err = fmt.Fprintf(c.out, "Simulated Block Users API on %s (Ctrl-C ends it)\n", url)
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		log.Warn("simulator: others can reach this address: its controls ask for no password, and show tokens and numbers of the scenario", "addr", a.String())
	}
	return serve(cmd.Context(), l, handler, log)
}

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 5 * time.Second
)

// serve serves until ctx ends, then lets answers under way go out, which is not an error.
func serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := srv.Shutdown(stop); err == nil {
		return nil
	}
	cut() // answers that hang on purpose
	return srv.Close()
}
