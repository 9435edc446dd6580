package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks/ledger"
)

// status shows where numbers stand.
type status struct {
	*cli
	numberFlags
}

func statusCommand(parent *cli) *cobra.Command {
	c := &status{cli: parent}
	cmd := &cobra.Command{
		Use:   "status [NUMBER...]",
		Short: "Show where numbers stand",
		Long:  "Shows what is wanted for each number, and what has come of it." + numbersHelp,
		RunE:  c.run,
	}
	c.add(cmd.Flags(), fileUsage)
	return cmd
}

func (c *status) run(cmd *cobra.Command, args []string) error {
	cfg, number, err := c.selected(cmd)
	if err != nil {
		return err
	}
	in, err := readInputs(cmd.Context(), c.cli, args, c.numberFlags, cfg.DefaultCountry)
	if err != nil {
		return err
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	if err := c.show(cmd.Context(), ledger.New(rdb, number.ID), in); err != nil {
		return err
	}
	if n := len(in.rejected); n > 0 {
		return partlyf("%s rejected", count(n, "input"))
	}
	return nil
}

func (c *status) show(ctx context.Context, l *ledger.Ledger, in inputs) error {
	out := newAnswer(c.cli, "user", "wanted", "state", "code", "message", "attempts", "requested", "settled")
	for chunk := range slices.Chunk(in.users, ledger.MaxBatch) {
		entries, err := l.Entries(ctx, chunk)
		if err != nil {
			return err
		}
		newer, err := l.NewerNames(ctx, entries)
		if err != nil {
			return err
		}
		for i, e := range entries {
			s := statusOf(l.PhoneNumberID(), e)
			if !newer[i].User.IsZero() {
				s.SupersededBy = newer[i].User.Reveal()
			}
			if err := out.add(s, s.row); err != nil {
				return err
			}
		}
	}
	return out.flush()
}

// statusJSON is the answer of `status` for one number.
type statusJSON struct {
	User          string           `json:"user"`
	PhoneNumberID string           `json:"phone_number_id"`
	Operation     ledger.Operation `json:"operation,omitempty"`
	State         string           `json:"state"`
	Version       ledger.Version   `json:"version,omitempty"`
	WaID          string           `json:"wa_id,omitempty"`
	Code          int              `json:"code,omitempty"`
	Message       string           `json:"message,omitempty"`
	Details       string           `json:"details,omitempty"`
	Attempts      *int             `json:"attempts,omitempty"`
	Queue         ledger.Queue     `json:"queue,omitempty"`
	Discarded     bool             `json:"discarded,omitempty"`     // from the dead-letter queue
	SupersededBy  string           `json:"superseded_by,omitempty"` // another name of the same person, whose newer request decides
	RequestedAt   time.Time        `json:"requested_at,omitzero"`
	SettledAt     time.Time        `json:"settled_at,omitzero"`
}

// The states that scripts depend on.
const (
	statePending      = "pending"
	stateInFlight     = "in_flight"
	stateSucceeded    = "succeeded"
	stateDeadLettered = "dead_lettered"
	stateUnknown      = "unknown"
)

func stateOf(s ledger.State) string {
	switch s {
	case ledger.Waiting:
		return statePending
	case ledger.InFlight:
		return stateInFlight
	case ledger.Succeeded:
		return stateSucceeded
	case ledger.Dead, ledger.Discarded:
		return stateDeadLettered
	case ledger.Unknown, ledger.Superseded:
	}
	return stateUnknown
}

func statusOf(phoneNumberID string, e ledger.Entry) statusJSON {
	s := statusJSON{User: e.User.Reveal(), PhoneNumberID: phoneNumberID, State: stateOf(e.State)}
	if s.State == stateUnknown {
		return s
	}
	s.Operation, s.Version, s.WaID, s.Queue = e.Operation, e.Version, e.WaID, e.Queue
	s.Attempts, s.Discarded = &e.Attempts, e.State == ledger.Discarded
	s.RequestedAt, s.SettledAt = e.Version.Time().UTC(), e.SettledAt.UTC()
	if f := e.Failure; f != nil {
		s.Code, s.Message, s.Details = f.Code, f.Message, f.Details
	}
	return s
}

func (s statusJSON) row() []string {
	state := s.State
	if s.Discarded {
		state += " (discarded)"
	}
	if s.SupersededBy != "" {
		state += " (superseded by " + s.SupersededBy + ")"
	}
	return []string{
		s.User, string(s.Operation), state, codeText(s.Code), s.Message, optional(s.Attempts), stamp(s.RequestedAt), stamp(s.SettledAt),
	}
}

func optional(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}
