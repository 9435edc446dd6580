package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// previewJSON is the answer of block and unblock with --dry-run.
type previewJSON struct {
	Operation     ledger.Operation  `json:"operation"`
	PhoneNumberID string            `json:"phone_number_id"`
	DryRun        bool              `json:"dry_run"`
	Accepted      int               `json:"accepted"`
	Rejected      []tasks.Rejection `json:"rejected"`
	// Protected counts those of Rejected that must not be blocked.
	Protected int `json:"protected"`
	// New counts users that the request would change, Already those for which it was done or asked for.
	New     int `json:"new"`
	Already int `json:"already"`
	// ListBefore is the number of blocked users as far as the ledger knows, ListAfter when all has gone well.
	ListBefore int `json:"list_before"`
	ListAfter  int `json:"list_after"`
	Capacity   int `json:"list_capacity"`
	// Seconds is about how long it takes from now, at the rate that was learnt, with what waits already.
	Seconds float64 `json:"expected_seconds"`
}

// previewOf shows the effects that a request would have, and changes nothing; protected of its rejected inputs are
// users who must not be blocked.
func previewOf(ctx context.Context, c *cli, cfg *config.Config, rdb redis.UniversalClient, r tasks.Request, protected int) error {
	l := ledger.New(rdb, r.PhoneNumberID)
	out := previewJSON{
		Operation: r.Operation, PhoneNumberID: r.PhoneNumberID, DryRun: true, Accepted: len(r.Users), Rejected: r.Rejected, Protected: protected, Capacity: plan.Capacity,
	}
	if out.Rejected == nil {
		out.Rejected = []tasks.Rejection{}
	}
	listed := 0 // of the users, those on the list
	for chunk := range slices.Chunk(r.Users, ledger.MaxBatch) {
		entries, err := l.Entries(ctx, chunk)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.State == ledger.Succeeded && e.Operation == ledger.Block {
				listed++
			}
			if e.Operation == r.Operation && (e.State == ledger.Succeeded || e.State == ledger.Waiting || e.State == ledger.InFlight) {
				out.Already++
			}
		}
	}
	out.New = out.Accepted - out.Already
	for e, err := range l.Scan(ctx) {
		if err != nil {
			return err
		}
		if e.State == ledger.Succeeded && e.Operation == ledger.Block {
			out.ListBefore++
		}
	}
	out.ListAfter = out.ListBefore - listed
	if r.Operation == ledger.Block {
		out.ListAfter = out.ListBefore + out.Accepted - listed
	}
	backlog, err := l.Backlog(ctx)
	if err != nil {
		return err
	}
	workers, err := app.Workers(ctx, rdb)
	if err != nil {
		return err
	}
	limit, err := app.LimiterOf(cfg, rdb, workers, c.say).Show(ctx, r.PhoneNumberID)
	if err != nil {
		return err
	}
	perCall := max(1, limit.MaxUsers)
	users := backlog.Waiting() + backlog.Later + out.Accepted
	out.Seconds = (r.Delay + limit.Wait((users+perCall-1)/perCall)).Round(time.Millisecond).Seconds()
	if err := out.show(c); err != nil {
		return err
	}
	if len(out.Rejected) > 0 {
		return partlyf("%s rejected", amounts.Count(len(out.Rejected), "input"))
	}
	return nil
}

// ofThem completes a sentence about the rejected.
func (p previewJSON) ofThem() string {
	if p.Protected == 0 {
		return ""
	}
	return ", " + amounts.Thousands(p.Protected) + " of them protected"
}

func (p previewJSON) show(c *cli) error {
	if c.json {
		return printOne(c.out, p)
	}
	_, err := fmt.Fprintf(c.out, "Would %s %s for phone number ID %s: %s new, %s done or asked for already, %s rejected%s.\n"+
		"The blocklist has %s of %s users as far as is known, and would have %s. It takes about %v.\n",
		p.Operation, amounts.Count(p.Accepted, "number"), p.PhoneNumberID, amounts.Thousands(p.New), amounts.Thousands(p.Already), amounts.Thousands(len(p.Rejected)), p.ofThem(),
		amounts.Thousands(p.ListBefore), amounts.Thousands(p.Capacity), amounts.Thousands(p.ListAfter), time.Duration(p.Seconds*float64(time.Second)).Round(time.Second))
	if err == nil && p.ListAfter > p.Capacity {
		c.say("the list takes no more than %s: those in the first call that is refused become dead letters (139101), and the rest wait for room", amounts.Thousands(p.Capacity))
	}
	return err
}
