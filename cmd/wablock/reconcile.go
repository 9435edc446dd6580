package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	numberfile "github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/reply"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/listing"
	"github.com/wablock/wablock/worker/reconcile/plan"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// reconciliation is the command `reconcile`.
type reconciliation struct {
	*cli
	waitFlags
	numberFlags
	requester
	plan, apply, history                   bool
	source, mode, approve, planFile        string
	maxChanges                             int
	sourceGiven, modeGiven, maxChangesSaid bool
	sourceAt                               string // the source, as a saved plan may name it
	read                                   numberfile.Options
}

func reconcileCommand(parent *cli) *cobra.Command {
	r := &reconciliation{cli: parent}
	cmd := &cobra.Command{
		Use:   "reconcile [--plan|--apply]",
		Short: "Compare the desired with the actual blocklist, and repair it",
		Long: `Compares the users who should be blocked with those the API lists, and shows the difference. With
--apply it enqueues it, for running workers to carry out: blocks, and in the modes own and
enforce unblocks. An unblock can't always be taken back, so users in doubt are left blocked, and
guards stop all unblocks of a run that would unblock many: see docs/reconciliation.md.

The users who should be blocked are given by a file, a URL, or the ledger: what was last asked for with
block and unblock. Without --file and --source the configuration's reconcile.source counts,
else the ledger.`,
		Example: `  wablock reconcile --file numbers.csv --plan-file plan.json
  wablock reconcile --apply --file numbers.csv --plan-file plan.json --wait
  wablock reconcile --history`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.sourceGiven = r.file != "" || r.source != ""
			r.modeGiven, r.maxChangesSaid = r.mode != "", cmd.Flags().Changed("max-changes")
			if err := r.check(); err != nil {
				return err
			}
			if r.history {
				return reconcileHistory(r.cli, cmd)
			}
			return r.run(cmd)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.plan, "plan", false, "only show the difference, which is the default")
	f.BoolVar(&r.apply, "apply", false, "enqueue what repairs the difference")
	r.add(f, "`file` of the numbers that should be blocked, one a line or CSV; - is standard input")
	f.StringVar(&r.source, "source", "", "where the numbers that should be blocked are: an https `URL`, a path, or ledger")
	f.StringVar(&r.mode, "mode", "", "report, adopt (take foreign blocks into the ledger), own (unblock only users that wablock blocked) or enforce (unblock all who are not desired; the default)")
	f.IntVar(&r.maxChanges, "max-changes", 0, "how many unblocks are done without approval (default max_changes of the configuration, else 500)")
	f.StringVar(&r.approve, "approve", "", "do the unblocks of the plan with this `hash` though guards stop them")
	f.StringVar(&r.planFile, "plan-file", "", "`file` to save the plan in; with --apply, to carry out unless it is stale")
	f.BoolVar(&r.history, "history", false, "show the last runs")
	r.addWait(f, "with --apply, stay until every number is settled")
	r.addBy(f)
	return cmd
}

func (r *reconciliation) check() error {
	switch {
	case r.plan && r.apply:
		return usagef("--plan shows and --apply does: give one of them")
	case r.history && (r.plan || r.apply || r.sourceGiven || r.planFile != "" || r.approve != ""):
		return usagef("--history goes with no other flag of this command")
	case r.file != "" && r.source != "":
		return usagef("--file and --source are both given: where the numbers are is said once")
	case r.approve != "" && !r.apply:
		return usagef("--approve goes with --apply")
	case r.wait && !r.apply:
		return usagef("--wait goes with --apply")
	case r.maxChangesSaid && (r.maxChanges < 0 || r.maxChanges > plan.Capacity):
		return usagef("--max-changes is %d; allowed: 0 to %d", r.maxChanges, plan.Capacity)
	case r.apply && r.mode == string(plan.Report):
		return usagef("--apply in mode report would do nothing: use --plan, or another mode")
	case r.modeGiven:
		if err := oneOf("mode", r.mode, modes()...); err != nil {
			return err
		}
	}
	return errors.Join(r.checkWait(), r.checkBy())
}

// target puts together what is to be reconciled, from flags, then the saved plan, then the
// configuration.
func (r *reconciliation) target(ctx context.Context, cfg *config.Config, n config.PhoneNumber, saved *savedPlan) (reconcile.Target, error) {
	t := reconcile.Target{PhoneNumberID: n.ID, Account: n.Token.Account(), Mode: plan.Enforce, MaxChanges: config.DefaultMaxChanges}
	name := config.SourceLedger
	o, err := r.options(cfg.DefaultCountry)
	if err != nil {
		return t, err
	}
	if c := n.Reconcile; c != nil {
		name, t.MaxChanges = c.Source, c.MaxChanges
		if !r.sourceGiven {
			o.Column = cmp.Or(o.Column, c.Column)
		}
		if c.Mode != config.Report {
			t.Mode = plan.Mode(c.Mode)
		}
	}
	if saved != nil {
		t.Mode = saved.Mode
		switch {
		case r.sourceGiven:
		case saved.SourceAt != "":
			name = saved.SourceAt
			if o, err = r.as(saved, o); err != nil {
				return t, err
			}
		case n.Reconcile == nil:
			return t, usagef("--plan-file: the plan was made from standard input, or from a URL that may hold a key: name it again with --file or --source")
		}
	}
	if r.modeGiven {
		t.Mode = plan.Mode(r.mode)
	}
	if r.maxChangesSaid {
		t.MaxChanges = r.maxChanges
	}
	r.read = o
	if t.Source, r.sourceAt, err = r.sourceOf(ctx, name, o); err != nil {
		return t, &app.ConfigError{Err: err}
	}
	token, err := n.Token.Source()
	if err != nil {
		return t, &app.ConfigError{Err: err}
	}
	t.API, err = app.NewClient(cfg, token)
	return t, err
}

// as returns o with the column and country that a saved plan was made with, unless flags name others.
func (r *reconciliation) as(saved *savedPlan, o numberfile.Options) (numberfile.Options, error) {
	if r.column == "" {
		o.Column = saved.SourceColumn
	}
	if r.country != "" || saved.SourceCountry == "" {
		return o, nil
	}
	var err error
	if o.Country, err = user.ParseCountry(saved.SourceCountry); err != nil {
		return o, usagef("--plan-file: its source_country: %v", err)
	}
	return o, nil
}

// sourceOf returns the source, and how a saved plan names it: "" when it can't be read again,
// or may hold a key.
func (r *reconciliation) sourceOf(ctx context.Context, otherwise string, o numberfile.Options) (s source.Source, at string, err error) {
	at = otherwise
	switch {
	case r.file == "-":
		return source.Reader("standard input", r.in, o), "", nil
	case r.file != "" && isPipe(r.file): // which can be read only once, and may stay silent
		in, _, err := openInput(ctx, r.cli, r.file)
		return source.Reader(r.file, in, o), "", err
	case r.file != "":
		at = absolute(r.file)
		return source.File(at, o), at, nil
	case r.source != "":
		at = r.source
	}
	if !isURL(at) && at != config.SourceLedger && at != "" {
		at = absolute(at)
	}
	s, err = source.Parse(at, o)
	if isURL(at) && !isPlainURL(at) {
		at = ""
	}
	return s, at, err
}

func isPipe(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

func isURL(s string) bool { return strings.Contains(s, "://") }

// isPlainURL reports whether a URL has no place for a key.
func isPlainURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// absolute makes a path mean the same file wherever a saved plan is applied from.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func (r *reconciliation) run(cmd *cobra.Command) error {
	cfg, number, err := r.selected(cmd)
	if err != nil {
		return err
	}
	var saved *savedPlan
	var toSave *planFile
	switch {
	case r.planFile == "":
	case r.apply:
		if saved, err = loadPlan(r.planFile, number.ID); err != nil {
			return err
		}
	default:
		if toSave, err = createPlanFile(r.planFile); err != nil {
			return err
		}
		defer toSave.discard()
	}
	target, err := r.target(cmd.Context(), cfg, number, saved)
	if err != nil {
		return err
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	runner, err := reconcile.New(reconcile.Config{Redis: rdb, Limiter: app.NewLimiter(cfg, rdb), Jobs: app.JobLimits(cfg), Names: app.NameLimits(cfg), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	o := reconcile.Options{Apply: r.apply, Approve: r.approve, Reviewed: r.planFile != "", Trigger: reconcile.ByCommand, Say: r.say}
	if saved != nil {
		o.Expect = saved.check
	}
	res, err := r.runOnce(cmd.Context(), runner, target, o)
	r.audit(cmd.Context(), rdb, target, res)
	if err != nil {
		return r.failed(res, number.Token, err)
	}
	return r.done(cmd.Context(), rdb, res, target, toSave)
}

// audit records what a run has enqueued.
func (r *reconciliation) audit(ctx context.Context, rdb redis.UniversalClient, t reconcile.Target, res *reconcile.Result) {
	if !r.apply || res == nil || len(res.Jobs) == 0 {
		return
	}
	e := audit.Event{Action: audit.Reconcile, By: r.name(r.cli), PhoneNumberID: t.PhoneNumberID}
	for _, job := range res.Jobs {
		e.Users += job.Accepted
	}
	e.Detail = fmt.Sprintf("mode %s, %s", t.Mode, amounts.Count(len(res.Jobs), "job"))
	if res.Approved {
		e.Detail += ", approved against guards"
	}
	recordDone(ctx, r.cli, rdb, e)
}

// runOnce runs, waiting for another run to end if there is one.
func (r *reconciliation) runOnce(ctx context.Context, runner *reconcile.Runner, t reconcile.Target, o reconcile.Options) (*reconcile.Result, error) {
	for waited := 0; ; waited++ {
		res, err := runner.Run(ctx, t, o)
		if !errors.Is(err, reconcile.ErrRunning) || waited == leaseWaits {
			return res, err
		}
		if waited == 0 {
			r.say("another reconciliation of this phone number ID is running: waiting for it")
		}
		if err := pauseFor(ctx, reconcile.LeaseTime/leaseWaits*2); err != nil {
			return res, err
		}
	}
}

// leaseWaits bounds the tries of runOnce; together they take twice as long as a dead run's lease.
const leaseWaits = 30

// failed explains the error of a run, and sets the exit code.
func (r *reconciliation) failed(res *reconcile.Result, token config.Credential, err error) error {
	if res != nil && len(res.Rejected) > 0 {
		showRejected(r.cli, inputs{rejected: res.Rejected})
	}
	if errors.Is(err, source.ErrUnusable) && (r.file != "" || r.source != "") && !isURL(r.source) {
		return &exitError{code: exitUsage, text: "nothing was done", err: err}
	}
	if res != nil && len(res.Jobs) > 0 {
		return err // it says what to do about the rest
	}
	if saidByAPI(err) {
		err = apiError(err, token)
	}
	return fmt.Errorf("nothing was done: %w", err)
}

// saidByAPI reports whether an error of a run is one of a call.
func saidByAPI(err error) bool {
	_, stated := errors.AsType[*client.APIError](err)
	_, unreadable := errors.AsType[*client.ResponseError](err)
	_, network := errors.AsType[*client.TransportError](err)
	return (stated || unreadable || network) && !errors.Is(err, listing.ErrUnstable)
}

// done answers, after waiting if that was asked for.
func (r *reconciliation) done(ctx context.Context, rdb redis.UniversalClient, res *reconcile.Result, t reconcile.Target, toSave *planFile) error {
	out := planAnswer(res, r.sourceAt, r.read, t)
	if toSave != nil {
		if err := toSave.save(out); err != nil {
			return err
		}
	}
	var waitErr, unprinted error
	if !r.json {
		unprinted = showPlan(r.cli, res, out)
	}
	if r.wait && len(res.Jobs) > 0 {
		p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{})
		if err != nil {
			return err
		}
		progress, err := (&waiter{r.cli, r.waitFlags, rdb, p}).until(ctx, res.Jobs...)
		waitErr = err
		if err == nil {
			waitErr = deadError(progress)
		}
		out.Settled = reply.OfProgress(progress)
	}
	if r.json {
		if err := printOne(r.out, out); err != nil {
			return err
		}
	}
	return errors.Join(waitErr, unprinted, r.short(res))
}

// short returns the error of a run that left something undone, nil when it did not.
func (r *reconciliation) short(res *reconcile.Result) error {
	if r.apply && len(res.Violations) > 0 && !res.Approved {
		return partlyf("guards stopped all %s, the blocks were done; when the plan is right, add --approve %s",
			amounts.Count(len(res.Plan.ToUnblock), "unblock"), res.Plan.Hash)
	}
	if len(res.Rejected) > 0 {
		return partlyf("%s of the desired list rejected", amounts.Count(len(res.Rejected), "line"))
	}
	return nil
}
