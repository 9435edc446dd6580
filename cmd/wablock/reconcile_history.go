package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// maxShownRuns is the number of runs that are kept, and shown.
const maxShownRuns = 100

func reconcileHistory(c *cli, cmd *cobra.Command) error {
	cfg, number, err := c.selected(cmd)
	if err != nil {
		return err
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	runs, err := reconcile.History(cmd.Context(), rdb, number.ID, maxShownRuns)
	if err != nil {
		return err
	}
	if len(runs) == 0 && !c.json {
		c.say("no runs yet")
	}
	out := newAnswer(c, "started", "took", "by", "mode", "source", "desired", "actual", "blocks", "unblocks", "result")
	for _, r := range runs {
		if err := out.add(r, func() []string { return historyRow(r) }); err != nil {
			return err
		}
	}
	return out.flush()
}

func historyRow(r reconcile.Record) []string {
	of := func(done, planned int) string {
		if done == planned {
			return strconv.Itoa(done)
		}
		return strconv.Itoa(done) + " of " + strconv.Itoa(planned)
	}
	result := "done"
	switch {
	case r.Error != "":
		result = "failed: " + r.Error
	case !r.Good():
		var names []string
		for _, g := range r.Guards {
			names = append(names, string(g.Guard))
		}
		result = "unblocks stopped by " + strings.Join(names, ", ")
	case r.Mode == plan.Report:
		result = "reported"
	}
	return []string{
		stamp(r.StartedAt), r.Duration().Round(time.Millisecond).String(), string(r.Trigger), string(r.Mode), r.Source,
		strconv.Itoa(r.Desired), strconv.Itoa(r.Actual), of(r.Blocks, r.ToBlock), of(r.Unblocks, r.ToUnblock), result,
	}
}
