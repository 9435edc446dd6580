package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/config/schedule"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/access"
)

// action is a change that pages offer. GET shows what it would do, and a form that does it.
type action struct {
	title  string
	button string
	needs  access.Scope
	audit  audit.Action
	// asks names the fields that a person fills in: reason, operation and for.
	asks []string
	// plan describes what would be done; it changes nothing.
	plan func(ctx context.Context, in input) (string, error)
	// do does it, and describes what was done. Its event is recorded.
	do func(ctx context.Context, in input) (string, audit.Event, error)
}

// input holds the fields of an action's form. None names a user.
type input struct {
	PhoneNumberID, JobID, Code         string
	Reason, Operation, For             string
	caller                             access.Caller
	codes                              []int
	operation                          ledger.Operation
	lasts                              time.Duration
	Title, Button, Action, Plan, Token string
	Done, Back                         string // once it is done
	Asks                               map[string]bool
}

func (p *pages) allActions() map[string]action {
	all := map[string]action{
		"redrive": {"Redrive dead letters", "Redrive", access.Write, audit.Redrive, []string{"reason"}, p.planRedrive, p.redrive},
		"discard": {"Discard dead letters", "Discard", access.Admin, audit.Discard, nil, p.planDiscard, p.discard},
		"cancel":  {"Cancel a job", "Cancel the job", access.Write, audit.Cancel, nil, p.planCancel, p.cancel},
		"undo":    {"Undo a job", "Undo the job", access.Write, audit.Undo, []string{"reason"}, p.planUndo, p.undo},
		"pause":   {"Pause calls", "Pause", access.Admin, audit.Pause, []string{"reason", "operation", "for"}, p.planPause, p.pause},
		"resume":  {"Resume calls", "Resume", access.Admin, audit.Resume, []string{"operation"}, p.planResume, p.resume},
	}
	if p.cfg.Release != nil {
		all["release"] = action{"Release the rate limit", "Release", access.Admin, audit.Release, nil, planRelease, p.release}
	}
	return all
}

// input reads the fields, and returns the action, if the caller may do it.
func (p *pages) input(ctx context.Context, r *http.Request) (action, input, error) {
	name := r.PathValue("action")
	a, ok := p.actions[name]
	if !ok {
		return a, input{}, &problem{http.StatusNotFound, "There is no such action.", "The pages have buttons for those that there are."}
	}
	in := input{
		PhoneNumberID: r.FormValue("phone_number_id"), JobID: r.FormValue("job_id"), Code: r.FormValue("code"),
		Reason: r.FormValue("reason"), Operation: r.FormValue("operation"), For: r.FormValue("for"),
		caller: access.From(ctx), Title: a.title, Button: a.button, Action: name, Asks: map[string]bool{},
	}
	for _, field := range a.asks {
		in.Asks[field] = true
	}
	if err := p.cfg.Access.Allow(in.caller, a.needs); err != nil {
		return a, in, &problem{http.StatusForbidden, "Nothing was done: " + err.Error() + ".", "Ask with a token of the scope " + a.needs.String() + ", or use the command line."}
	}
	return a, in, in.read()
}

// read checks the fields.
func (in *input) read() error {
	bad := func(text string) error {
		return &problem{http.StatusUnprocessableEntity, "Nothing was done: " + text + ".", "Go back, and correct it."}
	}
	if in.PhoneNumberID != "" && queues.CheckPhoneNumberID(in.PhoneNumberID) != nil {
		return bad("the phone number ID is the 1 to 32 digits of the Graph ID")
	}
	if in.Code != "" {
		code, err := strconv.Atoi(in.Code)
		if err != nil || code < 0 {
			return bad("the code is a number")
		}
		in.codes = []int{code}
	}
	if in.operation = ledger.Operation(in.Operation); in.Operation != "" && !in.operation.Valid() {
		return bad("the operation is block or unblock")
	}
	if err := (ledger.Text{Reason: in.Reason}).Check(); err != nil {
		return bad("a reason has at most 500 characters, on one line")
	}
	if in.For != "" {
		var err error
		if in.lasts, err = schedule.ParseDuration(in.For); err != nil || in.lasts < pause.MinTime || in.lasts > pause.MaxTime {
			return bad("the time is from 1s to 365d, such as 90m, 12h or 7d")
		}
	}
	return nil
}

// plan shows what an action would do.
func (p *pages) plan(ctx context.Context, r *http.Request, v *view) error {
	a, in, err := p.input(ctx, r)
	if err != nil {
		return err
	}
	if in.Plan, err = a.plan(ctx, in); err != nil {
		return jobProblem(err)
	}
	if in.Token, err = p.token.of(ctx, in.caller.Name, in.Action); err != nil {
		return err
	}
	v.Title, v.Body = a.title, in
	return nil
}

// do does an action, for a form that one of these pages has made.
func (p *pages) do(ctx context.Context, r *http.Request, v *view) error {
	a, in, err := p.input(ctx, r)
	if err != nil {
		return err
	}
	switch ok, err := p.token.check(ctx, in.caller.Name, in.Action, r.PostFormValue("token")); {
	case err != nil:
		return err
	case !ok:
		return &problem{http.StatusForbidden, "Nothing was done: the form is not of this page, or of another caller.", "Go back, load the page anew, and send it again."}
	}
	text, event, err := a.do(ctx, in)
	if err != nil {
		return jobProblem(err)
	}
	event.Action = a.audit
	p.record(ctx, event)
	p.cfg.Overview.Refresh()
	in.Done, in.Back = text, in.back()
	v.Title, v.Body = a.title, in
	return nil
}

// back returns the path of the page that an action belongs to.
func (in input) back() string {
	switch {
	case in.JobID != "":
		return "/jobs/" + url.PathEscape(in.JobID) + "?phone_number_id=" + in.PhoneNumberID
	case in.Action == "redrive" || in.Action == "discard":
		return "/dead-letters"
	case in.PhoneNumberID != "":
		return "/phone-numbers/" + in.PhoneNumberID
	}
	return "/"
}

// filter returns the dead letters that are meant: those of one code, of all phone number IDs or of one.
func (in input) filter() (deadletter.Filter, error) {
	if len(in.codes) == 0 {
		return deadletter.Filter{}, &problem{http.StatusUnprocessableEntity, "Nothing was done: no code is named.", "Choose one under Dead letters."}
	}
	return deadletter.Filter{PhoneNumberID: in.PhoneNumberID, Codes: in.codes, Kind: deadletter.UsersOnly}, nil
}

func (in input) ofCode() string {
	text := "of code " + in.Code
	if in.PhoneNumberID != "" {
		text += " of phone number ID " + in.PhoneNumberID
	}
	return text
}

func (p *pages) redriving(ctx context.Context, in input, dryRun bool) (deadletter.RedriveReport, error) {
	f, err := in.filter()
	if err != nil {
		return deadletter.RedriveReport{}, err
	}
	producer, err := p.anyProducer(in.PhoneNumberID)
	if err != nil {
		return deadletter.RedriveReport{}, err
	}
	return deadletter.Redrive(ctx, p.dead, producer, f, deadletter.RedriveOptions{DryRun: dryRun, Requester: in.caller.Name, Reason: in.Reason})
}

func (p *pages) planRedrive(ctx context.Context, in input) (string, error) {
	r, err := p.redriving(ctx, in, true)
	return fmt.Sprintf("To be asked for again: %s %s; to be dropped, since a newer request has overtaken it: %s.",
		amounts.Count(r.Redriven, "dead letter"), in.ofCode(), amounts.Thousands(r.Obsolete)), err
}

func (p *pages) redrive(ctx context.Context, in input) (string, audit.Event, error) {
	r, err := p.redriving(ctx, in, false)
	return fmt.Sprintf("Asked for again: %s %s; dropped, since a newer request had overtaken it: %s.", amounts.Count(r.Redriven, "dead letter"), in.ofCode(), amounts.Thousands(r.Obsolete)),
		audit.Event{PhoneNumberID: in.PhoneNumberID, Users: r.Redriven, Reason: in.Reason, Detail: "on the web page, code " + in.Code}, err
}

func (p *pages) discarding(ctx context.Context, in input, dryRun bool) (int, error) {
	f, err := in.filter()
	if err != nil {
		return 0, err
	}
	return p.dead.Discard(ctx, f, deadletter.DiscardOptions{DryRun: dryRun})
}

func (p *pages) planDiscard(ctx context.Context, in input) (string, error) {
	n, err := p.discarding(ctx, in, true)
	return fmt.Sprintf("To be deleted without another try: %s %s. Their users may be asked for anew.", amounts.Count(n, "dead letter"), in.ofCode()), err
}

func (p *pages) discard(ctx context.Context, in input) (string, audit.Event, error) {
	n, err := p.discarding(ctx, in, false)
	return fmt.Sprintf("Deleted: %s %s.", amounts.Count(n, "dead letter"), in.ofCode()),
		audit.Event{PhoneNumberID: in.PhoneNumberID, Users: n, Detail: "on the web page, code " + in.Code}, err
}

func (p *pages) canceling(ctx context.Context, in input, dryRun bool) (tasks.Canceled, error) {
	producer, err := p.producer(in.PhoneNumberID)
	if err != nil {
		return tasks.Canceled{}, err
	}
	return producer.Cancel(ctx, in.JobID, dryRun, tasks.WithRequester(in.caller.Name))
}

func (p *pages) planCancel(ctx context.Context, in input) (string, error) {
	c, err := p.canceling(ctx, in, true)
	return fmt.Sprintf("Of the job %[2]s, %[1]s have not gone out and will be withdrawn; what each was before is restored. In calls, to end as they end: %[3]s; ended: %[4]s.",
		amounts.Count(c.Canceled, "user"), in.JobID, amounts.Thousands(c.InFlight), amounts.Thousands(c.Settled)), err
}

func (p *pages) cancel(ctx context.Context, in input) (string, audit.Event, error) {
	c, err := p.canceling(ctx, in, false)
	return fmt.Sprintf("Of the job %[2]s, %[1]s were withdrawn. In calls: %[3]s; ended before: %[4]s.", amounts.Count(c.Canceled, "user"), in.JobID, amounts.Thousands(c.InFlight), amounts.Thousands(c.Settled)),
		audit.Event{PhoneNumberID: in.PhoneNumberID, JobID: in.JobID, Users: c.Canceled}, err
}

func (p *pages) undoing(ctx context.Context, in input, dryRun bool) (tasks.Undone, error) {
	producer, err := p.producer(in.PhoneNumberID)
	if err != nil {
		return tasks.Undone{}, err
	}
	return producer.Undo(ctx, in.JobID, tasks.UndoRequest{Requester: in.caller.Name, Reason: in.Reason, DryRun: dryRun})
}

func (p *pages) planUndo(ctx context.Context, in input) (string, error) {
	u, err := p.undoing(ctx, in, true)
	return fmt.Sprintf("Of the job %[2]s, %[1]s have not gone out and will be withdrawn; for %[3]s that it has changed, or has in calls, the opposite will be asked for; left as they are: %[4]s. "+
		"Meta lets you block only users who wrote in the last 24 hours, so an unblock can't always be undone.",
		amounts.Count(u.Canceled, "user"), in.JobID, amounts.Count(u.Reversed, "user"), amounts.Thousands(u.Left)), err
}

func (p *pages) undo(ctx context.Context, in input) (string, audit.Event, error) {
	u, err := p.undoing(ctx, in, false)
	text := fmt.Sprintf("Of the job %[2]s, %[1]s were withdrawn; for %[3]s the opposite was asked for; left as they are: %[4]s.",
		amounts.Count(u.Canceled, "user"), in.JobID, amounts.Count(u.Reversed, "user"), amounts.Thousands(u.Left))
	if u.UndoJobID != "" {
		text += " The job " + u.UndoJobID + " does it."
	}
	return text, audit.Event{PhoneNumberID: in.PhoneNumberID, JobID: in.JobID, Users: u.Canceled + u.Reversed, Reason: in.Reason}, err
}

// scope names the phone number IDs of a pause.
func (in input) scope() string {
	if in.PhoneNumberID == "" {
		return "all phone number IDs"
	}
	return "phone number ID " + in.PhoneNumberID
}

func (p *pages) planPause(_ context.Context, in input) (string, error) {
	return "Calls of " + in.scope() + " will stop within a second. What waits is kept, and goes on when they are resumed.", nil
}

func (p *pages) pause(ctx context.Context, in input) (string, audit.Event, error) {
	set, err := pause.Set(ctx, p.cfg.Redis, pause.Request{
		PhoneNumberID: in.PhoneNumberID, Operation: in.operation, Reason: in.Reason, RequestedBy: in.caller.Name, For: in.lasts,
	})
	if errors.Is(err, pause.ErrInvalid) {
		return "", audit.Event{}, &problem{http.StatusUnprocessableEntity, "Nothing was done: " + strings.TrimPrefix(err.Error(), "pause: invalid request: ") + ".", "Go back, and correct it."}
	}
	var texts []string
	for _, s := range set {
		texts = append(texts, s.String()+".")
	}
	return strings.Join(texts, " "), audit.Event{PhoneNumberID: in.PhoneNumberID, Operation: in.Operation, Reason: in.Reason}, err
}

func (p *pages) planResume(ctx context.Context, in input) (string, error) {
	var ids []string
	if in.PhoneNumberID != "" {
		ids = []string{in.PhoneNumberID}
	}
	held, err := pause.Of(ctx, p.cfg.Redis, ids...)
	var texts []string
	for _, h := range held {
		if h.PhoneNumberID == in.PhoneNumberID {
			texts = append(texts, h.String()+".")
		}
	}
	if len(texts) == 0 && err == nil {
		return "No pause of " + in.scope() + " holds.", nil
	}
	return "Calls of " + in.scope() + " will go on. Now " + strings.Join(texts, " "), err
}

func (p *pages) resume(ctx context.Context, in input) (string, audit.Event, error) {
	cleared, err := pause.Clear(ctx, p.cfg.Redis, in.PhoneNumberID, in.operation)
	text := "No pause of " + in.scope() + " held."
	if len(cleared) > 0 {
		text = "Calls of " + in.scope() + " go on."
	}
	return text, audit.Event{PhoneNumberID: in.PhoneNumberID, Operation: in.Operation}, err
}

func planRelease(_ context.Context, in input) (string, error) {
	if in.PhoneNumberID == "" {
		return "", &problem{http.StatusUnprocessableEntity, "Nothing was done: no phone number ID is named.", "Choose one in the overview."}
	}
	return "A pinned or capped rate of phone number ID " + in.PhoneNumberID + " will end, and so will a pause of the limiter; the rate is learnt again from there.", nil
}

func (p *pages) release(ctx context.Context, in input) (string, audit.Event, error) {
	if _, err := planRelease(ctx, in); err != nil {
		return "", audit.Event{}, err
	}
	return "The rate limit of phone number ID " + in.PhoneNumberID + " is learnt again.", audit.Event{PhoneNumberID: in.PhoneNumberID}, p.cfg.Release(ctx, in.PhoneNumberID)
}

// jobProblem says for people what can be wrong with a job; it returns other errors as they are.
func jobProblem(err error) error {
	for known, p := range map[error]*problem{
		tasks.ErrJobNotFound: {http.StatusNotFound, "No job of this ID is known for the phone number ID: it never was, or is no longer kept.", "`wablock jobs` lists those that are."},
		tasks.ErrListGone:    {http.StatusGone, "The list of the job's users is no longer kept, its counts are.", "Ask for what is wanted in a new job."},
		tasks.ErrJobEnded:    {http.StatusConflict, "The job is done: nothing of it is left to cancel.", "Undo asks for the opposite of what it did."},
		tasks.ErrJobCanceled: {http.StatusConflict, "The job was canceled before.", "Undo asks for the opposite of what it did."},
		tasks.ErrUndo:        {http.StatusConflict, "The job undoes another one, and is not undone itself.", "Ask for what that one asked for, in a new job."},
	} {
		if errors.Is(err, known) {
			return p
		}
	}
	if err != nil {
		if _, ok := errors.AsType[*problem](err); !ok {
			return errors.New(user.Scrub(err.Error()))
		}
	}
	return err
}
