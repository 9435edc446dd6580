// Package doctor checks a configuration, its Redis and the API, and says how to fix what is
// wrong. It changes nothing and prints nothing.
package doctor

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/schedule"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// Status is the result of a check.
type Status string

// The results of checks.
const (
	OK      Status = "ok"
	Warning Status = "warning" // works, and is worth a look
	Failed  Status = "failed"
)

// Finding is one thing that a check found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	// Help is the way to fix it; "" when all is well.
	Help string `json:"help,omitempty"`
}

// Examine makes all checks, and yields what each found as soon as it has ended. It stops early
// when ctx ends.
func Examine(ctx context.Context, cfg *config.Config) iter.Seq[Finding] {
	checks := []func() []Finding{
		func() []Finding { return configuration(cfg) },
		func() []Finding { return redisFindings(ctx, cfg) },
	}
	if len(cfg.PhoneNumbers) == 0 {
		checks = append(checks, func() []Finding {
			return []Finding{{"phone number ID", Failed, "none is configured", "set WABLOCK_PHONE_NUMBER_ID, or phone_numbers in the --config file"}}
		})
	}
	for _, n := range cfg.PhoneNumbers {
		checks = append(checks, func() []Finding { return phoneNumber(ctx, cfg, n) })
	}
	return func(yield func(Finding) bool) {
		for _, check := range checks {
			for _, f := range check() {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// Wrong returns the findings of a configuration that can't be loaded.
func Wrong(err error) (all []Finding) {
	for line := range strings.Lines(err.Error()) {
		all = append(all, Finding{"configuration", Failed, strings.TrimSpace(line), "correct the setting; docs/settings.md has the table of all of them"})
	}
	return all
}

func configuration(cfg *config.Config) []Finding {
	all := []Finding{{"configuration", OK, "all settings can be taken", ""}}
	for _, w := range cfg.Warnings {
		all = append(all, Finding{"configuration", Warning, w, ""})
	}
	if _, err := app.OpenAccess(cfg, nil); err != nil {
		all = append(all, Finding{"HTTP token", Failed, err.Error(), "the worker will not start without it"})
	}
	return all
}

// sourceFindings reads the desired list of a reconciliation as a run would.
func sourceFindings(ctx context.Context, cfg *config.Config, n config.PhoneNumber) []Finding {
	if n.Reconcile == nil {
		return nil
	}
	check := "reconcile.source of phone number ID " + n.ID
	const help = "correct it in the --config file; a relative path starts where the worker was started"
	s, err := source.Parse(n.Reconcile.Source, numbers.Options{Column: n.Reconcile.Column, Country: cfg.DefaultCountry})
	if err != nil {
		return []Finding{{check, Failed, err.Error(), help}}
	}
	look, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	list, err := s.Read(look)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return []Finding{{check, Failed, err.Error(), help}}
	}
	detail := fmt.Sprintf("%s can be read: numbers %d, rejected lines %d", s.Name(), len(list.Users), len(list.Rejected))
	if list.FromLedger {
		detail = "the ledger: what was last requested through wablock"
	}
	f := Finding{check, OK, detail, ""}
	if len(list.Rejected) > 0 {
		f.Status, f.Help = Warning, "correct these lines: while there are any, a run unblocks no users"
	}
	if slots, err := schedule.Parse(n.Reconcile.Schedule); err == nil {
		f.Detail += "; next run " + slots.Next(time.Now()).UTC().Format(time.RFC3339)
	}
	return []Finding{f}
}

func phoneNumber(ctx context.Context, cfg *config.Config, n config.PhoneNumber) []Finding {
	token, err := n.Token.Source()
	if err != nil {
		return []Finding{{
			"access token", Failed, "phone number ID " + n.ID + ": " + err.Error(),
			"make a token of a system user with the permissions whatsapp_business_management and whatsapp_business_messaging; commands that only enqueue need none",
		}}
	}
	return append(sourceFindings(ctx, cfg, n), api(ctx, cfg, n, token)...)
}

// apiTimeout bounds one look at the API.
const apiTimeout = 15 * time.Second

func api(ctx context.Context, cfg *config.Config, n config.PhoneNumber, token *secret.Source) []Finding {
	c, err := app.NewClient(cfg, token)
	if err != nil {
		return []Finding{{"API", Failed, err.Error(), "correct the setting"}}
	}
	look, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	page, err := c.ListPage(look, n.ID, client.ListOptions{Limit: 1})
	if ctx.Err() != nil {
		return nil // the call was canceled, which proves nothing about the API
	}
	what := "API, phone number ID " + n.ID
	if err != nil {
		return []Finding{{what, Failed, err.Error(), app.Advice(err, n.Token)}}
	}
	all := []Finding{{what, OK, "the token is accepted and the blocklist can be read", ""}}
	if p := page.Meta.Usage.Percent(); p >= busyUsage {
		all = append(all, Finding{what, Warning, fmt.Sprintf("%d %% of the call budget is used", p), "lower WABLOCK_RATE, or find out what else calls with this app"})
	}
	return all
}

// busyUsage is the share of a call budget from which it is worth a look.
const busyUsage = 80
