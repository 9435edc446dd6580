package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/worker/web/overview"
)

// topEvery is the time between two drawings, and clearScreen what a terminal is sent before each.
const (
	topEvery    = 2 * time.Second
	clearScreen = "\x1b[H\x1b[2J"
)

// topView is the command `top`.
type topView struct {
	*cli
	once bool
}

func topCommand(parent *cli) *cobra.Command {
	c := &topView{cli: parent}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "How the whole system stands: the overview page in a terminal",
		Long: `Shows what needs attention and what to do about it, each phone number ID, the dead letters by code, the
last jobs, the workers and what was done in the last hour. On a terminal it is drawn anew every two
seconds until Ctrl-C; elsewhere, and with --once or --json, it is printed once. It reads Redis alone, so
it works where no worker does.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config(cmd)
			if err != nil {
				return err
			}
			rdb, err := app.Connect(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { _ = rdb.Close() }()
			r := app.NewOverview(cfg, rdb, buildInfo().Version)
			if c.once || c.json || !terminal(c.out) {
				return c.print(r.Now(cmd.Context()))
			}
			return c.redraw(cmd.Context(), r)
		},
	}
	cmd.Flags().BoolVar(&c.once, "once", false, "print it once, on a terminal too")
	return cmd
}

// print prints an overview; that Redis does not answer is an error.
func (c *topView) print(o overview.Overview) error {
	var err error
	if c.json {
		err = printOne(c.out, o)
	} else {
		err = writeTop(c.out, o)
	}
	if err == nil && len(o.Attention) > 0 && o.Attention[0].Cause == overview.CauseRedis {
		return fmt.Errorf("%s %s", o.Attention[0].Text, o.Attention[0].Next)
	}
	return err
}

// redraw draws overviews until ctx ends.
func (c *topView) redraw(ctx context.Context, r *overview.Reader) error {
	tick := time.NewTicker(topEvery)
	defer tick.Stop()
	for {
		var b strings.Builder
		b.WriteString(clearScreen)
		if err := writeTop(&b, r.Now(ctx)); err != nil {
			return err
		}
		if _, err := io.WriteString(c.out, b.String()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// writeTop writes an overview for people.
func writeTop(w io.Writer, o overview.Overview) error {
	var b strings.Builder
	fmt.Fprintf(&b, "wablock  %s  %s  %s\n\n", o.At.Format("15:04:05 UTC"), amounts.Count(len(o.PhoneNumbers)+o.MorePhoneNumbers, "phone number ID"), amounts.Count(len(o.Workers), "worker"))
	for _, n := range o.Attention {
		fmt.Fprintf(&b, "%-8s %s\n         → %s\n", strings.ToUpper(string(n.Severity)), printable(strings.TrimSpace(n.PhoneNumberID+" "+n.Text)), printable(n.Next))
	}
	if len(o.Attention) == 0 {
		b.WriteString("Nothing needs attention.\n")
	}
	section := func(columns []string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		t := newTable()
		t.AppendHeader(tableRow(columns))
		for _, r := range rows {
			t.AppendRow(tableRow(r))
		}
		b.WriteString("\n" + t.Render() + "\n")
	}
	section([]string{"phone number ID", "state", "waiting", "later", "oldest", "done in", "last min", "last hour", "60 min", "rate", "refused", "list"}, topNumbers(o))
	section([]string{"dead letters", "code", "means"}, topCodes(o))
	section([]string{"job", "by", "what", "asked", "users", "ok", "dead", "waiting", "done"}, topJobs(o))
	section([]string{"worker", "version", "up", "last call", "phone numbers"}, topWorkers(o))
	section([]string{"last hour", "what", "by", "phone number ID", "users", "reason"}, topEvents(o))
	_, err := io.WriteString(w, b.String())
	return err
}

func topNumbers(o overview.Overview) (rows [][]string) {
	for _, p := range o.PhoneNumbers {
		list := ""
		if p.Blocklist != nil {
			list = amounts.Thousands(p.Blocklist.Users)
		}
		rows = append(rows, []string{
			p.ID, strings.ReplaceAll(string(p.State), "_", " "), amounts.Thousands(p.Waiting.InLine()), amounts.Thousands(p.Waiting.Later), since(o.At, p.Oldest), since(p.ExpectedAt, o.At),
			amounts.Thousands(p.LastMinute.Settled()), amounts.Thousands(p.LastHour.Settled()), blocks(p), overview.PerSecond(p.Limit.Rate), fmt.Sprintf("%.1f%%", p.Limit.Refused*100), list,
		})
	}
	return rows
}

// blocks draws the users that ended in the last hour, a letter for five minutes.
func blocks(p overview.PhoneNumber) string {
	const each = 5
	var sums []int
	for chunk := range slices.Chunk(p.Minutes, each) {
		n := 0
		for _, m := range chunk {
			n += m.Settled()
		}
		sums = append(sums, n)
	}
	heights := []rune("▁▂▃▄▅▆▇█")
	most, out := 0, make([]rune, len(sums))
	for _, n := range sums {
		most = max(most, n)
	}
	for i, n := range sums {
		out[i] = ' '
		if n > 0 {
			out[i] = heights[n*(len(heights)-1)/most]
		}
	}
	return string(out)
}

func topCodes(o overview.Overview) (rows [][]string) {
	for _, c := range o.DeadLetters.Codes {
		rows = append(rows, []string{amounts.Thousands(c.Users), codeText(c.Code), c.Name})
	}
	return rows
}

func topJobs(o overview.Overview) (rows [][]string) {
	for _, j := range o.Jobs[:min(len(o.Jobs), 10)] {
		rows = append(rows, []string{
			j.ID, j.RequestedBy, string(j.Operation), since(o.At, j.RequestedAt), amounts.Thousands(j.Accepted), amounts.Thousands(j.Succeeded), amounts.Thousands(j.DeadLettered),
			amounts.Thousands(j.Pending), fmt.Sprintf("%.0f%%", j.Done*100),
		})
	}
	return rows
}

func topWorkers(o overview.Overview) (rows [][]string) {
	for _, w := range o.Workers {
		rows = append(rows, []string{w.Where, w.Version, since(o.At, w.Since), since(o.At, w.LastCall), fmt.Sprint(w.PhoneNumbers)})
	}
	return rows
}

func topEvents(o overview.Overview) (rows [][]string) {
	for _, e := range o.Events[:min(len(o.Events), 10)] {
		rows = append(rows, []string{e.At.Format("15:04:05"), string(e.Action), e.By, e.PhoneNumberID, amounts.Thousands(e.Users), e.Reason})
	}
	return rows
}

// since writes how long a time was before another, "" where one of them is not known.
func since(now, t time.Time) string {
	if now.IsZero() || t.IsZero() {
		return ""
	}
	return overview.Span(now.Sub(t))
}
