// Package parallel runs the commands of one bulk operation a few at a time.
package parallel

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// How many commands one bulk operation has under way: asynq can't enqueue in batches, and Redis does one thing at a time
// anyway.
const (
	Commands = 16
	// Scripts is for those that take Redis some milliseconds: what others ask of it waits for all that are under way.
	Scripts = 4
)

// Each calls do for every item, so many at a time, and returns the first error; it starts no
// more after one.
func Each[T any](ctx context.Context, atOnce int, items []T, do func(context.Context, T) error) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, item := range items {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return do(inner, item) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// UpTo returns from, from + 1, … below to.
func UpTo(from, to int) []int {
	out := make([]int, 0, max(0, to-from))
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}
