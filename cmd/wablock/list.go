package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/reconcile"
)

func (a *app) listCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the blocklist as the API holds it now",
		Long: `Asks the API for the blocklist of a business phone number, all pages, and shows it when it
is known to be whole. It asks for a page again when the API wants less haste, and starts
over when the list changes meanwhile.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1000 {
				return usagef("--limit is %d; allowed: 1 to 1000", limit)
			}
			return a.list(cmd, limit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "users to ask for in one page")
	return cmd
}

func (a *app) list(cmd *cobra.Command, limit int) error {
	cfg, number, err := a.selected(cmd)
	if err != nil {
		return err
	}
	token, err := number.Token.Source()
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	api, err := newClient(cfg, token)
	if err != nil {
		return err
	}
	l := reconcile.Listing{
		API: api, PhoneNumberID: number.ID, Limit: limit, Say: a.say,
		Key: ratelimit.Key{PhoneNumberID: number.ID, Account: accountOf(number.Token)},
	}
	defer a.shareRate(cmd.Context(), cfg, &l)()
	entries, err := l.Whole(cmd.Context())
	if err != nil {
		return apiError(err)
	}
	out := a.answer()
	for _, e := range entries {
		if err := out.entry(e); err != nil {
			return err
		}
	}
	return out.flush()
}

// shareRate makes a listing take its calls from the budget that it shares with the workers,
// after whoever waits to be blocked or unblocked. Without Redis it goes at the API's own pace.
func (a *app) shareRate(ctx context.Context, cfg *config.Config, l *reconcile.Listing) (closeRedis func()) {
	rdb := cfg.Redis.Client()
	ping, cancel := context.WithTimeout(ctx, listConnect)
	defer cancel()
	if rdb.Ping(ping).Err() != nil {
		a.say("Redis at %s does not answer: listing without regard to the rate limit that workers share there", cfg.Redis)
		_ = rdb.Close()
		return func() {}
	}
	l.Limiter = newLimiter(cfg, rdb)
	waiting := ledger.New(rdb, l.PhoneNumberID)
	l.Writes = func(ctx context.Context) bool {
		b, err := waiting.Backlog(ctx)
		return err == nil && b.UpTo(ledger.Bulk) > 0
	}
	return func() { _ = rdb.Close() }
}

// listConnect is how long a listing waits for a Redis that it can do without.
const listConnect = 2 * time.Second

// newClient returns a client of the API as configured.
func newClient(cfg *config.Config, token *secret.Source) (*client.Client, error) {
	opts := []client.Option{client.WithTimeout(cfg.RequestTimeout)}
	appSecret, err := cfg.AppSecretSource()
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	if appSecret != nil {
		opts = append(opts, client.WithAppSecret(appSecret))
	}
	return client.New(cfg.GraphURL, cfg.GraphVersion, token, opts...)
}

// apiError adds what to do about an error of the API.
func apiError(err error) error {
	if help := helpNow(err); help != "" {
		return fmt.Errorf("%w. %s", err, help)
	}
	return err
}

// helpNow says what to do about an error of the API that no dead letter came of.
func helpNow(err error) string {
	if errors.Is(err, context.Canceled) {
		return ""
	}
	return strings.NewReplacer("redrive", "try again", "Redrive", "Try again").Replace(client.Classify(err).Help)
}

// entry writes what the API returned for a user; for people its most telling name.
func (o *answer) entry(e client.Entry) error {
	if o.enc == nil {
		return o.line(cmp.Or(e.WaID, e.UserID, e.ParentUserID))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, e.Raw); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := o.w.Write(b.Bytes())
	return err
}

// pauseFor returns when d has passed, or with the error of ctx.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
