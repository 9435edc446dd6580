package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
)

// auditLog is the command `audit`.
type auditLog struct {
	*cli
	limit int
	since string
}

func auditCommand(parent *cli) *cobra.Command {
	c := &auditLog{cli: parent}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what",
		Long: `Shows who did what, newest first: jobs, pauses, changes of limits, of dead letters and of protected
users, on the command line, over HTTP and by Go services. The last 20,000 jobs are kept, and the last
20,000 other events, without full numbers.`,
		Example: "  wablock audit --since 24h\n  wablock audit --limit 1000 --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	f := cmd.Flags()
	f.IntVar(&c.limit, "limit", 100, "how many events at the most")
	f.StringVar(&c.since, "since", "", "only events since this `time` (RFC 3339), or of so long a time, for example 24h or 7d")
	return cmd
}

func (c *auditLog) run(cmd *cobra.Command) error {
	if c.limit < 1 || c.limit > audit.MaxEvents {
		return usagef("--limit is %d; allowed: 1 to %d", c.limit, audit.MaxEvents)
	}
	since, err := sinceTime(c.since, time.Now())
	if err != nil {
		return err
	}
	cfg, err := c.config(cmd)
	if err != nil {
		return err
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	events, err := audit.Read(cmd.Context(), rdb, since, c.limit)
	if err != nil {
		return err
	}
	return c.show(cmd.Context(), events)
}

func (c *auditLog) show(ctx context.Context, events []audit.Event) error {
	out := newAnswer(c.cli, "at", "action", "by", "phone number id", "what", "reason")
	for _, e := range events {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := out.add(e, func() []string { return eventRow(e) }); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		c.say("no events")
	}
	return out.flush()
}

func eventRow(e audit.Event) []string {
	what := e.Operation
	for _, part := range []string{e.JobID, usersText(e), e.Detail} {
		if what != "" && part != "" {
			what += ", "
		}
		what += part
	}
	why := e.Reason
	if e.Reference != "" {
		why = strings.TrimPrefix(why+" ("+e.Reference+")", " ")
	}
	return []string{stamp(e.At), string(e.Action), e.By, e.PhoneNumberID, what, why}
}

func usersText(e audit.Event) string {
	switch {
	case e.MaskedUser != "":
		return e.MaskedUser
	case e.Users > 0:
		return amounts.Count(e.Users, "number")
	}
	return ""
}

// sinceTime reads a time, or a duration before now; "" is the zero time.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	var ago time.Duration
	if err := (duration{&ago}).Set(text); err != nil || ago <= 0 {
		return time.Time{}, usagef("--since is %q; allowed: a time such as 2026-01-31T08:00:00Z, or a duration such as 24h or 7d", text)
	}
	return now.Add(-ago), nil
}
