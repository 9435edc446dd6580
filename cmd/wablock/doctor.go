package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/secret"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, Redis and the API",
		Long: `Checks the configuration, Redis (reachable, version, noeviction, persistence, clock), the
queues, and the API (token, phone number IDs), and says how to mend what is wrong. It changes
nothing, and asks the API for one entry of each blocklist.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd) },
	}
}

// verdict is how a check of doctor went.
type verdict string

const (
	good verdict = "ok"
	fair verdict = "warning" // works, and is worth a look
	bad  verdict = "failed"
)

// finding is one line of doctor.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"status"`
	Detail  string  `json:"detail"`
	Help    string  `json:"help,omitempty"`
}

// examination collects findings, and shows each as it comes.
type examination struct {
	a        *app
	failures int
	broken   error // the output
}

func (x *examination) add(v verdict, check, detail, help string) {
	if v == good {
		help = ""
	}
	if v == bad {
		x.failures++
	}
	f := finding{check, v, detail, help}
	if x.a.json {
		x.broken = errors.Join(x.broken, printOne(x.a.out, f))
		return
	}
	x.broken = errors.Join(x.broken, f.show(x.a.out))
}

func (f finding) show(w io.Writer) error {
	text := fmt.Sprintf("%-8s %s: %s\n", f.Verdict, f.Check, printable(f.Detail))
	if f.Help != "" {
		text += "         → " + printable(f.Help) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func (a *app) doctor(cmd *cobra.Command) error {
	x := &examination{a: a}
	cfg, err := a.load(cmd)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			x.add(bad, "configuration", strings.TrimSpace(line), "correct the setting; the README has the table of all of them")
		}
		return &exitError{code: exitUsage, text: "the configuration is wrong, and nothing else was checked"}
	}
	x.configuration(cfg)
	x.redis(cmd.Context(), cfg)
	x.api(cmd.Context(), cfg)
	switch {
	case cmd.Context().Err() != nil:
		return interruptedf("interrupted before everything was checked")
	case x.failures > 0:
		return errors.Join(x.broken, &exitError{code: exitFailed, text: count(x.failures, "check") + " failed"})
	}
	return x.broken
}

func (x *examination) configuration(cfg *config.Config) {
	x.add(good, "configuration", "all settings can be taken", "")
	for _, w := range cfg.Warnings {
		x.add(fair, "secrets", w, "a secret that others can read is no secret")
	}
	if strings.HasPrefix(cfg.GraphURL, "http://") {
		x.add(fair, "Graph URL", cfg.GraphURL+" sends the token unencrypted", "use https, unless it leads to a simulator")
	}
	if _, err := cfg.HTTPTokenValue(); err != nil {
		x.add(bad, "HTTP token", err.Error(), "the worker will not start without it")
	}
}

// apiCheckTimeout bounds one look at the API.
const apiCheckTimeout = 15 * time.Second

func (x *examination) api(ctx context.Context, cfg *config.Config) {
	if len(cfg.PhoneNumbers) == 0 {
		x.add(bad, "phone number ID", "none is configured", "set WABLOCK_PHONE_NUMBER_ID, or phone_numbers in the --config file")
		return
	}
	for _, n := range cfg.PhoneNumbers {
		token, err := n.Token.Source()
		if err != nil {
			x.add(bad, "access token", "phone number ID "+n.ID+": "+err.Error(),
				"make a token of a system user with the permissions whatsapp_business_management and whatsapp_business_messaging; commands that only enqueue need none")
			continue
		}
		x.phoneNumber(ctx, cfg, n.ID, token)
	}
}

func (x *examination) phoneNumber(ctx context.Context, cfg *config.Config, id string, token *secret.Source) {
	api, err := newClient(cfg, token)
	if err != nil {
		x.add(bad, "API", err.Error(), "correct the setting")
		return
	}
	look, cancel := context.WithTimeout(ctx, apiCheckTimeout)
	defer cancel()
	page, err := api.ListPage(look, id, client.ListOptions{Limit: 1})
	if ctx.Err() != nil {
		return // the call was given up, which says nothing of the API
	}
	what := "API, phone number ID " + id
	if err != nil {
		x.add(bad, what, err.Error(), helpNow(err))
		return
	}
	x.add(good, what, "the token is accepted and the blocklist can be read", "")
	x.usage(what, page.Meta)
}

// busyUsage is the share of a call budget from which it is worth a look.
const busyUsage = 80

func (x *examination) usage(what string, m client.Meta) {
	if p := m.Usage.Percent(); p >= busyUsage {
		x.add(fair, what, fmt.Sprintf("%d %% of the call budget is used", p), "lower WABLOCK_RATE, or find out what else calls with this app")
	}
}
