package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks/audit"
)

func limitsCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "The rate limit as it was learnt: see it, pin it, cap it, release it",
		Long: `wablock learns how many calls a second, and how many users a call, the API allows, and all
workers share what was learnt. These commands show it and let an operator overrule it.`,
		Args: noArgs,
		RunE: c.parent,
	}
	cmd.AddCommand(
		limitsShowCommand(c),
		limitsRateCommand(c, "pin", "Use this rate in place of the one learnt, until release",
			`Pauses after a limit error still happen, and the configured ceiling still holds.`, (*redislimit.Limiter).Pin),
		limitsRateCommand(c, "cap", "Never call faster than this, until release",
			`Below the cap wablock goes on learning.`, (*redislimit.Limiter).Cap),
		limitsReleaseCommand(c),
	)
	return cmd
}

func limitsShowCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what was learnt, of one phone number ID or of all that are configured",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withLimits(c, cmd, func(cfg *config.Config) ([]config.PhoneNumber, error) {
				if cfg.PhoneNumberID != "" || len(cfg.PhoneNumbers) == 0 {
					return selectedOne(cfg)
				}
				return cfg.PhoneNumbers, nil
			}, func(ctx context.Context, _ redis.UniversalClient, l *redislimit.Limiter, n config.PhoneNumber) (ratelimit.Snapshot, error) {
				return l.Show(ctx, n.ID)
			})
		},
	}
	settingFlags(cmd.Flags(), true)
	return cmd
}

type setRate func(*redislimit.Limiter, context.Context, string, float64) (ratelimit.Snapshot, error)

func limitsRateCommand(c *cli, name, short, long string, set setRate) *cobra.Command {
	var who requester
	cmd := &cobra.Command{
		Use:     name + " RATE",
		Short:   short,
		Long:    short + ".\n" + long + "\nRATE is in calls a second.",
		Example: "  wablock limits " + name + " 5",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rate, err := strconv.ParseFloat(args[0], 64)
			if err != nil || !(rate >= ratelimit.MinRate && rate <= ratelimit.MaxRate) { // so that NaN is refused
				return usagef("RATE is %q; allowed: a number of calls a second from %v to %v", args[0], ratelimit.MinRate, ratelimit.MaxRate)
			}
			if err := who.checkBy(); err != nil {
				return err
			}
			return withLimits(c, cmd, selectedOne, func(ctx context.Context, rdb redis.UniversalClient, l *redislimit.Limiter, n config.PhoneNumber) (ratelimit.Snapshot, error) {
				s, err := set(l, ctx, n.ID, rate)
				if err == nil {
					recordDone(ctx, c, rdb, audit.Event{Action: audit.Action(name), By: who.name(c), PhoneNumberID: n.ID, Detail: args[0] + " calls a second"})
				}
				return s, err
			})
		},
	}
	who.addBy(cmd.Flags())
	settingFlags(cmd.Flags(), true)
	return cmd
}

func limitsReleaseCommand(c *cli) *cobra.Command {
	var who requester
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Clear pin and cap, and resume after a pause with one probe call",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := who.checkBy(); err != nil {
				return err
			}
			return withLimits(c, cmd, selectedOne, func(ctx context.Context, rdb redis.UniversalClient, l *redislimit.Limiter, n config.PhoneNumber) (ratelimit.Snapshot, error) {
				s, err := releaseBoth(ctx, l, n)
				if err == nil {
					recordDone(ctx, c, rdb, audit.Event{Action: audit.Release, By: who.name(c), PhoneNumberID: n.ID})
				}
				return s, err
			})
		},
	}
	who.addBy(cmd.Flags())
	settingFlags(cmd.Flags(), true)
	return cmd
}

// releaseBoth also ends a pause of the account, which holds the phone number back as well.
func releaseBoth(ctx context.Context, l *redislimit.Limiter, n config.PhoneNumber) (ratelimit.Snapshot, error) {
	if _, err := l.ReleaseAccount(ctx, n.Token.Account()); err != nil {
		return ratelimit.Snapshot{}, err
	}
	return l.Release(ctx, n.ID)
}

func selectedOne(cfg *config.Config) ([]config.PhoneNumber, error) {
	n, err := cfg.Selected()
	return []config.PhoneNumber{n}, err
}

// withLimits does something with the limits of some phone number IDs, and shows them.
func withLimits(
	c *cli, cmd *cobra.Command, which func(*config.Config) ([]config.PhoneNumber, error),
	do func(context.Context, redis.UniversalClient, *redislimit.Limiter, config.PhoneNumber) (ratelimit.Snapshot, error),
) error {
	cfg, err := c.config(cmd)
	if err != nil {
		return err
	}
	phones, err := which(cfg)
	if err != nil {
		return err
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	workers, err := app.Workers(cmd.Context(), rdb, app.IDsOf(phones)...)
	if err != nil {
		return err
	}
	limiter := app.LimiterOf(cfg, rdb, workers, c.say)
	out := newAnswer(c, "phone number id", "rate", "learnt", "ceiling", "pinned", "capped", "users a call", "limit errors", "state")
	for _, n := range phones {
		s, err := do(cmd.Context(), rdb, limiter, n)
		if err != nil {
			return errors.Join(err, out.flush())
		}
		o, err := app.LimitOf(cmd.Context(), rdb, limiter, workers, n, s)
		if err != nil {
			return errors.Join(err, out.flush())
		}
		if err := out.add(o, func() []string { return limitRow(o) }); err != nil {
			return err
		}
	}
	return out.flush()
}

func limitRow(o app.Limit) []string {
	state := o.State + pauseText(o.Snapshot)
	switch o.State {
	case "unused":
		state += ": no call yet"
	case "probing":
		state += ": one call at a time until one is served"
	case "halted":
		state += ": the API refuses the token or the account"
	}
	texts := []string{state}
	if o.PinnedBy != "" {
		texts = append(texts, "pinned by "+o.PinnedBy+" at "+o.PinnedAt.Format(time.RFC3339))
	}
	if o.CappedBy != "" {
		texts = append(texts, "capped by "+o.CappedBy+" at "+o.CappedAt.Format(time.RFC3339))
	}
	for _, p := range o.Pauses {
		texts = append(texts, p.String())
	}
	state = strings.Join(texts, "; ")
	if o.Account != nil {
		state += "; account: " + app.LimitState(*o.Account, "") + pauseText(*o.Account)
	}
	return []string{
		o.PhoneNumberID, perSecond(o.Rate), perSecond(o.Learnt), perSecond(o.Ceiling), perSecond(o.Pinned), perSecond(o.Capped),
		strconv.Itoa(o.MaxUsers), strconv.FormatInt(o.LimitErrors, 10), state,
	}
}

func pauseText(s ratelimit.Snapshot) string {
	if s.PausedUntil.IsZero() {
		return ""
	}
	return " for " + s.PausedUntil.Sub(s.At).Round(time.Second).String()
}

func perSecond(rate float64) string {
	if rate == 0 {
		return ""
	}
	return fmt.Sprintf("%.3g/s", rate)
}
