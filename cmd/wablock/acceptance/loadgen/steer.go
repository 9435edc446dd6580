package main

import (
	"context"
	"errors"
	"time"

	"github.com/wablock/wablock/tasks"
)

// steering is the part of a note about an attempt to cancel or undo its job: at its beginning Began alone.
type steering struct {
	Undo  bool      `json:"undo,omitempty"`
	Began time.Time `json:"began,omitzero"`
	// Of the end: whether it was answered, or the job had ended, so that nothing was done.
	Answered bool `json:"answered,omitempty"`
	Nothing  bool `json:"nothing,omitempty"`
	Canceled int  `json:"canceled,omitempty"`
	Reversed int  `json:"reversed,omitempty"`
}

// steer sometimes cancels or undoes one of the last jobs, and notes it before and after.
func (g *generator) steer(ctx context.Context) error {
	if len(g.accepted) == 0 || g.rng.IntN(5) > 0 {
		return nil
	}
	i := g.rng.IntN(len(g.accepted))
	if g.rng.IntN(2) == 0 {
		i = len(g.accepted) - 1
	}
	of := g.accepted[i]
	g.accepted = append(g.accepted[:i:i], g.accepted[i+1:]...)
	n := note{Job: of.Job, Operation: of.Operation, Steer: &steering{Undo: g.rng.IntN(3) == 0, Began: time.Now()}}
	if err := g.out.Encode(n); err != nil {
		return err
	}
	if g.running != nil && g.running.Job == of.Job {
		g.running = nil // it is not repeated
	}
	short, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer done()
	if n.Steer.Undo {
		g.undo(short, &n)
	} else {
		c, err := g.producer.Cancel(short, of.Job, false)
		n.Steer.Answered, n.Steer.Nothing, n.Steer.Canceled = err == nil, errors.Is(err, tasks.ErrJobEnded), c.Canceled
	}
	n.At = time.Now()
	return g.out.Encode(n)
}

func (g *generator) undo(ctx context.Context, n *note) {
	u, err := g.producer.Undo(ctx, n.Job, tasks.UndoRequest{})
	if err != nil {
		return
	}
	if u.UndoJobID != "" { // its version is known to the ledger alone
		j, found, err := g.ledger.JobByID(ctx, u.UndoJobID)
		if err != nil || !found {
			return
		}
		n.Version = j.Version
	}
	n.Steer.Answered, n.Steer.Canceled, n.Steer.Reversed = true, u.Canceled, u.Reversed
}
