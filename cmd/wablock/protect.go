package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
)

func protectCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "protect",
		Short: "Users who must never be blocked",
		Long: `Keeps the lists of users who must never be blocked: of a phone number ID, or with --all of all. Requests to block
them are rejected, and those that wait already go into the dead-letter queue without a call. Every spelling
of a number counts. The business numbers of the configuration are put on the list by the worker.`,
		Args: noArgs,
		RunE: c.parent,
	}
	cmd.AddCommand(
		protectChange(c, "add", "Protect users", true),
		protectChange(c, "remove", "Take users off the list; nothing is blocked by that", false),
		protectList(c),
	)
	return cmd
}

// protection is the command `protect add`, `remove` or `list`.
type protection struct {
	*cli
	numberFlags
	requester
	all    bool
	reason string
}

func protectChange(parent *cli, name, short string, adds bool) *cobra.Command {
	c := &protection{cli: parent}
	cmd := &cobra.Command{
		Use:   name + " [NUMBER...]",
		Short: short,
		Long:  short + "." + numbersHelp,
		RunE:  func(cmd *cobra.Command, args []string) error { return c.change(cmd, args, adds) },
	}
	f := cmd.Flags()
	c.add(f, fileUsage)
	f.BoolVar(&c.all, "all", false, "for all phone number IDs")
	if adds {
		f.StringVar(&c.reason, "reason", "", "why, which is shown when a request is rejected")
	}
	c.addBy(f)
	return cmd
}

func protectList(parent *cli) *cobra.Command {
	c := &protection{cli: parent}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the protected users of a phone number ID, and of all",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.list(cmd) },
	}
	cmd.Flags().BoolVar(&c.all, "all", false, "only those for all phone number IDs")
	return cmd
}

// open returns the phone number ID that is meant, "" for all, and the configuration.
func (c *protection) open(cmd *cobra.Command) (rdb redis.UniversalClient, phoneNumberID string, cfg *config.Config, err error) {
	if cfg, err = c.config(cmd); err != nil {
		return nil, "", nil, err
	}
	if !c.all {
		n, err := cfg.Selected()
		if err != nil {
			return nil, "", nil, fmt.Errorf("%w; --all is for all", err)
		}
		phoneNumberID = n.ID
	}
	rdb, err = app.Connect(cmd.Context(), cfg)
	return rdb, phoneNumberID, cfg, err
}

// protectJSON is the answer of `protect add` and `remove`.
type protectJSON struct {
	PhoneNumberID string            `json:"phone_number_id,omitempty"`
	All           bool              `json:"all,omitempty"`
	Protected     *int              `json:"protected,omitempty"`
	Removed       *int              `json:"removed,omitempty"`
	Blocked       []string          `json:"blocked,omitempty"` // protected now, and blocked or about to be
	Rejected      []tasks.Rejection `json:"rejected"`
}

func (c *protection) change(cmd *cobra.Command, args []string, adds bool) error {
	if err := errors.Join(checkText("reason", c.reason, protect.MaxReason), c.checkBy(), checkAll(cmd, c.all)); err != nil {
		return err
	}
	ctx := cmd.Context()
	rdb, phoneNumberID, cfg, err := c.open(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	in, err := readInputs(ctx, c.cli, args, c.numberFlags, cfg.DefaultCountry)
	if err != nil {
		return err
	}
	answer := protectJSON{PhoneNumberID: phoneNumberID, All: c.all, Rejected: in.rejected}
	if answer.Rejected == nil {
		answer.Rejected = []tasks.Rejection{}
	}
	n, by, action := len(in.users), c.name(c.cli), audit.Protect
	verb := "Protected"
	if adds {
		if err := protect.Add(ctx, rdb, phoneNumberID, in.users, c.reason, by); err != nil {
			return err
		}
		answer.Protected = &n
		ids := []string{phoneNumberID}
		if c.all { // those that are not configured here are not known here
			ids = ids[:0]
			for _, n := range cfg.PhoneNumbers {
				ids = append(ids, n.ID)
			}
		}
		for _, id := range ids {
			names, err := c.blocked(ctx, rdb, id, in.users)
			if err != nil {
				return err
			}
			answer.Blocked = append(answer.Blocked, names...)
		}
		slices.Sort(answer.Blocked)
		answer.Blocked = slices.Compact(answer.Blocked)
	} else {
		verb, action = "Removed", audit.Unprotect
		if n, err = protect.Remove(ctx, rdb, phoneNumberID, in.users); err != nil {
			return err
		}
		answer.Removed = &n
	}
	e := audit.Event{Action: action, By: by, PhoneNumberID: phoneNumberID, Users: n, Reason: c.reason}
	if len(in.users) == 1 {
		e.User = in.users[0]
	}
	recordDone(ctx, c.cli, rdb, e)
	if c.json {
		err = printOne(c.out, answer)
	} else {
		_, err = fmt.Fprintf(c.out, "%s: %s.\n", verb, amounts.Count(n, "number"))
	}
	if len(in.rejected) > 0 {
		err = errors.Join(err, partlyf("%s rejected", amounts.Count(len(in.rejected), "input")))
	}
	return err
}

// blocked returns which users are blocked, or are about to be, on the phone number ID, and says how to unblock them.
func (c *protection) blocked(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID) (names []string, err error) {
	l := ledger.New(rdb, phoneNumberID)
	for from := 0; from < len(users); from += ledger.MaxBatch {
		entries, err := l.Entries(ctx, users[from:min(len(users), from+ledger.MaxBatch)])
		if err != nil {
			return names, err
		}
		for _, e := range entries {
			if e.State == ledger.Succeeded && e.Operation == ledger.Block || e.State == ledger.InFlight && e.Operation == ledger.Block {
				names = append(names, e.User.Reveal())
			}
		}
	}
	if len(names) > 0 {
		c.say("blocked already on phone number ID %s: %s; `wablock unblock` with the same numbers unblocks", phoneNumberID, amounts.Count(len(names), "number"))
	}
	return names, nil
}

// protectedJSON is one protected user.
type protectedJSON struct {
	User          string    `json:"user"`
	PhoneNumberID string    `json:"phone_number_id,omitempty"`
	All           bool      `json:"all,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	RequestedBy   string    `json:"requested_by,omitempty"`
	Since         time.Time `json:"since,omitzero"`
}

func (c *protection) list(cmd *cobra.Command) error {
	rdb, phoneNumberID, _, err := c.open(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	entries, err := protect.List(cmd.Context(), rdb, "")
	if err == nil && !c.all {
		var own []protect.Entry
		own, err = protect.List(cmd.Context(), rdb, phoneNumberID)
		entries = append(own, entries...)
	}
	if err != nil {
		return err
	}
	out := newAnswer(c.cli, "user", "phone number id", "reason", "by", "since")
	for _, e := range entries {
		j := protectedJSON{e.User.Reveal(), e.PhoneNumberID, e.PhoneNumberID == "", e.Reason, e.By, e.Since}
		err := out.add(j, func() []string {
			where := j.PhoneNumberID
			if j.All {
				where = "(all)"
			}
			return []string{j.User, where, j.Reason, j.RequestedBy, stamp(j.Since)}
		})
		if err != nil {
			return err
		}
	}
	if len(entries) == 0 {
		c.say("no users are protected")
	}
	return out.flush()
}
