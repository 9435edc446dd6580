package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/reply"
)

// deadLetterList is the command `dead-letter list`.
type deadLetterList struct {
	*cli
	choice
	limit   int
	summary bool
}

func deadLetterListCommand(parent *cli) *cobra.Command {
	c := &deadLetterList{cli: parent}
	cmd := &cobra.Command{
		Use:   "list [NUMBER...]",
		Short: "Show the entries, with what the API said",
		RunE:  c.run,
	}
	c.flags(cmd.Flags(), "all entries, which is the default")
	cmd.Flags().IntVar(&c.limit, "limit", 0, "show no more entries than this (default all)")
	cmd.Flags().BoolVar(&c.summary, "summary", false, "show for each error code how many entries there are, and since when")
	return cmd
}

func (c *deadLetterList) run(cmd *cobra.Command, args []string) error {
	if c.limit < 0 || c.limit > 0 && c.summary {
		return usagef("--limit is from 1 up, and goes without --summary")
	}
	d, err := openDeadLetters(c.cli, cmd, args, c.choice)
	if err != nil {
		return err
	}
	defer d.close()
	if c.summary {
		return c.summarise(cmd.Context(), d)
	}
	out, n := newAnswer(c.cli, deadLetterColumns()...), 0
	for e, err := range d.entries(cmd.Context()) {
		if err != nil {
			return err
		}
		if n++; n > c.limit && c.limit > 0 {
			c.say("there are more; --summary counts them")
			break
		}
		j := reply.OfLetter(e)
		if err := out.add(j, func() []string { return deadLetterRow(j) }); err != nil {
			return err
		}
	}
	if n == 0 && !c.json {
		c.say("no entries")
	}
	return out.flush()
}

// summaryJSON is the answer of `dead-letter list --summary` for one error code.
type summaryJSON struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Count   int    `json:"count"`
	// Oldest is the time of the earliest of their last failures.
	Oldest time.Time `json:"oldest"`
}

// summarise counts the entries by code, most first. Malformed tasks, which have none, are counted
// by themselves.
func (c *deadLetterList) summarise(ctx context.Context, d *deadLetters) error {
	type key struct {
		code      int
		malformed bool
	}
	sums := map[key]*summaryJSON{}
	for e, err := range d.entries(ctx) {
		if err != nil {
			return err
		}
		k, message := key{code: e.Code}, e.Message
		if e.Malformed != nil {
			k, message = key{malformed: true}, "(malformed task)"
		}
		s := sums[k]
		if s == nil {
			s = &summaryJSON{Code: k.code, Message: message, Oldest: e.LastFailedAt.UTC()}
			sums[k] = s
		}
		s.Count++
		if e.LastFailedAt.Before(s.Oldest) {
			s.Oldest = e.LastFailedAt.UTC()
		}
	}
	if len(sums) == 0 && !c.json {
		c.say("no entries")
	}
	out := newAnswer(c.cli, "code", "message", "count", "oldest")
	most := func(a, b *summaryJSON) int {
		return cmp.Or(b.Count-a.Count, a.Code-b.Code, strings.Compare(a.Message, b.Message))
	}
	for _, s := range slices.SortedFunc(maps.Values(sums), most) {
		row := func() []string {
			return []string{codeText(s.Code), s.Message, amounts.Thousands(s.Count), stamp(s.Oldest)}
		}
		if err := out.add(s, row); err != nil {
			return err
		}
	}
	return out.flush()
}
