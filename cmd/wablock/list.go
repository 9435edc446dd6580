package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/secret"
)

func (a *app) listCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the blocklist as the API holds it now",
		Long: `Asks the API for the blocklist of a business phone number, all pages, and shows it when it
is known to be whole. It asks for a page again when the API wants less haste, and starts
over when the list changes meanwhile.`,
		Args: cobra.NoArgs,
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
	l := listing{api: api, phoneNumberID: number.ID, limit: limit, say: a.say, pause: pauseFor}
	entries, err := l.whole(cmd.Context())
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
	if help := client.Classify(err).Help; help != "" {
		return fmt.Errorf("%w. %s", err, help)
	}
	return err
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

// The patience of a listing for people.
const (
	listTries    = 3 // of one page
	listWaits    = 6 // of one page while the API wants less haste
	listRestarts = 5
	listMaxPause = time.Minute
)

// listing collects a whole blocklist.
type listing struct {
	api           *client.Client
	phoneNumberID string
	limit         int
	say           func(string, ...any)
	pause         func(context.Context, time.Duration) error
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

// whole returns the list once it ran to its end without having changed.
func (l listing) whole(ctx context.Context) ([]client.Entry, error) {
	for restarts := 0; ; restarts++ {
		entries, err := l.once(ctx)
		if err == nil || client.Classify(err).Remedy != client.RestartListing || restarts == listRestarts {
			return entries, err
		}
		l.say("the list changed while it was read: starting over")
	}
}

func (l listing) once(ctx context.Context) ([]client.Entry, error) {
	var entries []client.Entry
	w := client.NewWalk(client.ListOptions{Limit: l.limit})
	for opts, done := w.Options(), false; !done; {
		page, err := l.page(ctx, opts)
		if err != nil {
			return nil, err
		}
		entries = append(entries, page.Entries...)
		if opts, done, err = w.Next(page); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// page asks for a page until it comes, or trying again has no point.
func (l listing) page(ctx context.Context, opts client.ListOptions) (*client.Page, error) {
	for try := 1; ; try++ {
		page, err := l.api.ListPage(ctx, l.phoneNumberID, opts)
		if err == nil || ctx.Err() != nil {
			return page, err
		}
		tries := 1
		switch client.Classify(err).Remedy {
		case client.Retry:
			tries = listTries
		case client.RateLimit, client.AccountRateLimit:
			tries = listWaits
		default:
		}
		if try >= tries {
			return nil, err
		}
		pause := min(max(client.MetaOf(err).RetryAfter, time.Second<<(try-1)), listMaxPause)
		l.say("the API did not serve a page (try %d of %d): waiting %v", try, tries, pause)
		if err := l.pause(ctx, pause); err != nil {
			return nil, err
		}
	}
}
