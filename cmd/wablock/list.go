package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/reconcile/listing"
)

// blocklist lists the users that the API holds as blocked.
type blocklist struct {
	*cli
	limit int
}

func listCommand(parent *cli) *cobra.Command {
	c := &blocklist{cli: parent}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the blocklist as the API holds it now",
		Long: `Asks the API for the blocklist of a business phone number, all pages, and shows it when it
is known to be whole. It asks for a page again when the API wants less haste, and starts
over when the list changes meanwhile.`,
		Args: noArgs,
		RunE: c.run,
	}
	cmd.Flags().IntVar(&c.limit, "limit", 100, "users to ask for in one page")
	return cmd
}

func (c *blocklist) run(cmd *cobra.Command, _ []string) error {
	if c.limit < 1 || c.limit > 1000 {
		return usagef("--limit is %d; allowed: 1 to 1000", c.limit)
	}
	cfg, number, err := c.selected(cmd)
	if err != nil {
		return err
	}
	token, err := number.Token.Source()
	if err != nil {
		return &app.ConfigError{Err: err}
	}
	api, err := app.NewClient(cfg, token)
	if err != nil {
		return err
	}
	l := listing.Config{
		API: api, PhoneNumberID: number.ID, Limit: c.limit, Say: c.say,
		Key: ratelimit.Key{PhoneNumberID: number.ID, Account: number.Token.Account()},
	}
	defer c.shareRate(cmd.Context(), cfg, &l)()
	entries, err := listing.Read(cmd.Context(), l)
	if err != nil {
		return apiError(err, number.Token)
	}
	out := newAnswer(c.cli)
	for _, e := range entries {
		if err := out.entry(e); err != nil {
			return err
		}
	}
	return out.flush()
}

// shareRate makes a listing take its calls from the budget that it shares with the workers,
// after the users who wait to be blocked or unblocked. Without Redis it goes at the API's own
// pace.
func (c *blocklist) shareRate(ctx context.Context, cfg *config.Config, l *listing.Config) (closeRedis func()) {
	rdb := cfg.Redis.Client()
	ping, cancel := context.WithTimeout(ctx, listConnect)
	defer cancel()
	if rdb.Ping(ping).Err() != nil {
		c.say("Redis at %s does not answer: listing without regard to the rate limit that workers share there", cfg.Redis)
		_ = rdb.Close()
		return func() {}
	}
	l.Limiter = app.NewLimiter(cfg, rdb)
	waiting := ledger.New(rdb, l.PhoneNumberID)
	l.Writes = func(ctx context.Context) bool {
		b, err := waiting.Backlog(ctx)
		return err == nil && b.UpTo(ledger.Bulk) > 0
	}
	return func() { _ = rdb.Close() }
}

// listConnect bounds the wait for a Redis that a listing can do without.
const listConnect = 2 * time.Second
