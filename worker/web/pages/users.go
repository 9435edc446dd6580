package pages

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/reply"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/access"
	"github.com/wablock/wablock/worker/web/overview"
)

// lookup is the page that finds a user.
type lookup struct {
	PhoneNumberID  string
	PhoneNumberIDs []string
	Asked          bool
	User           string // as it may be shown
	Rejected       string // why the input is not a number
	Status         *reply.Status
	Code           *overview.Code
	Story          []string
	Full           bool
	SupersededBy   string
}

// numbers looks a user up. The number comes by POST, so that no path or log has it, and is shown masked.
func (p *pages) numbers(ctx context.Context, r *http.Request, v *view) error {
	l := lookup{PhoneNumberID: cmp.Or(r.PostFormValue("phone_number_id"), p.cfg.PhoneNumberID)}
	for _, n := range p.cfg.Overview.Now(ctx).PhoneNumbers {
		l.PhoneNumberIDs = append(l.PhoneNumberIDs, n.ID)
	}
	v.Title = "Find a number"
	if r.Method == http.MethodPost {
		if err := p.find(ctx, r, &l); err != nil {
			return err
		}
	}
	v.Body = l
	return nil
}

func (p *pages) find(ctx context.Context, r *http.Request, l *lookup) error {
	if queues.CheckPhoneNumberID(l.PhoneNumberID) != nil {
		return &problem{http.StatusUnprocessableEntity, "The phone number ID is the 1 to 32 digits of the Graph ID, not the number itself.", "Go back, and choose one."}
	}
	l.Asked = true
	list := numbers.Parse([]string{r.PostFormValue("number")}, p.cfg.Country)
	if len(list.Users) == 0 {
		l.Rejected = "it is empty"
		if len(list.Rejected) > 0 {
			l.Rejected = list.Rejected[0].Reason
		}
		return nil
	}
	states, err := reply.Statuses(ctx, p.cfg.Redis, l.PhoneNumberID, list.Users[:1])
	if err != nil {
		return err
	}
	id, s := list.Users[0], states[0]
	l.Status, l.User = &s, id.String()
	if other, err := user.FromCanonical(s.SupersededBy); err == nil {
		l.SupersededBy = other.String()
	}
	if r.PostFormValue("full") != "" {
		if err := p.reveal(ctx, audit.Event{PhoneNumberID: l.PhoneNumberID, User: id, Users: 1, Detail: "looked up on the web page"}); err != nil {
			return err
		}
		l.Full, l.User, l.SupersededBy = true, s.User, s.SupersededBy
	}
	if s.Code != 0 || s.State == reply.DeadLettered {
		c := overview.CodeOf(s.Code)
		l.Code = &c
	}
	s.Reason, s.Reference = user.Scrub(s.Reason), user.Scrub(s.Reference)
	l.Story = story(s)
	return nil
}

// reveal records that a caller sees numbers in full, and refuses where it may not, or where that can't be recorded.
func (p *pages) reveal(ctx context.Context, e audit.Event) error {
	caller := access.From(ctx)
	if !named(caller) {
		return &problem{http.StatusForbidden, "Numbers are shown in full only to a token with a name of its own.", "Use one of WABLOCK_HTTP_TOKENS_FILE, or the command line."}
	}
	e.Action, e.By = audit.Reveal, caller.Name
	if err := audit.Record(ctx, p.cfg.Redis, e); err != nil {
		return err
	}
	p.cfg.Logger.InfoContext(ctx, "web: numbers shown in full", "by", e.By, "phone_number_id", e.PhoneNumberID, "users", e.Users)
	return nil
}

// story returns the history of a user, in sentences.
func story(s reply.Status) []string {
	var all []string
	say := func(text string, at time.Time) {
		if !at.IsZero() {
			text = at.UTC().Format("2006-01-02 15:04:05 UTC") + ": " + text
		}
		all = append(all, text)
	}
	if s.State == reply.Unknown {
		return []string{"No request for this user is known for the phone number ID."}
	}
	asked := "asked to " + string(s.Operation)
	if s.RequestedBy != "" {
		asked += " by " + s.RequestedBy
	}
	if s.JobID != "" {
		asked += ", in the job " + s.JobID
	}
	if s.Reason != "" {
		asked += ": " + s.Reason
	}
	if s.Reference != "" {
		asked += " (" + s.Reference + ")"
	}
	say(asked+".", s.RequestedAt)
	if s.Attempts != nil && *s.Attempts > 0 && s.State != reply.Succeeded {
		say(strconv.Itoa(*s.Attempts)+" attempts failed; the last one: "+strings.TrimSpace(s.Message+" "+user.Scrub(s.Details))+".", time.Time{})
	}
	switch s.State {
	case reply.Succeeded:
		say(map[ledger.Operation]string{ledger.Block: "blocked.", ledger.Unblock: "unblocked."}[s.Operation], s.SettledAt)
	case reply.DeadLettered:
		say("dead-lettered: it failed for good.", s.SettledAt)
		if s.Discarded {
			say("The dead letter was discarded.", time.Time{})
		}
	case reply.InFlight:
		say("It is in a call at this moment.", time.Time{})
	case reply.Pending:
		say("It waits. "+s.WaitingText, time.Time{})
		if !s.ExpectedAt.IsZero() {
			say("its call is expected to go out.", s.ExpectedAt)
		}
	}
	if !s.LastHeardAt.IsZero() {
		say("wrote last.", s.LastHeardAt)
	}
	if !s.Until.IsZero() {
		say("the block ends by itself.", s.Until)
	}
	for _, planned := range s.Planned {
		say("planned to "+string(planned.Operation)+".", planned.At)
	}
	return all
}

// maxLetters bounds the dead letters of one page.
const maxLetters = 100

// letters is the page of dead letters.
type letters struct {
	overview.DeadLetters
	Code          *overview.Code
	PhoneNumberID string
	List          []letter
	More          bool
	Full          bool
}

// letter is one of them.
type letter struct {
	User, PhoneNumberID, Operation, Message, Details string
	Attempts                                         int
	First, Last                                      time.Time
}

// deadLetters shows the dead letters by code, and the entries of one code.
func (p *pages) deadLetters(ctx context.Context, r *http.Request, v *view) error {
	o := p.cfg.Overview.Now(ctx)
	l := letters{DeadLetters: o.DeadLetters, PhoneNumberID: r.FormValue("phone_number_id")}
	v.Title, v.Now, v.Live = "Dead letters", o.At, r.Method == http.MethodGet && r.FormValue("code") == ""
	if text := r.FormValue("code"); text != "" {
		in := input{Code: text, PhoneNumberID: l.PhoneNumberID}
		if err := in.read(); err != nil {
			return err
		}
		f, err := in.filter()
		if err != nil {
			return err
		}
		c := overview.CodeOf(in.codes[0])
		l.Code = &c
		l.Full = r.Method == http.MethodPost && r.PostFormValue("full") != ""
		if err := p.list(ctx, f, &l); err != nil {
			return err
		}
		if l.Full {
			if err := p.reveal(ctx, audit.Event{PhoneNumberID: l.PhoneNumberID, Users: len(l.List), Detail: "dead letters of code " + text + " on the web page"}); err != nil {
				return err
			}
		}
	}
	v.Body = l
	return nil
}

func (p *pages) list(ctx context.Context, f deadletter.Filter, l *letters) error {
	for e, err := range p.dead.All(ctx, f) {
		if err != nil {
			return err
		}
		if len(l.List) == maxLetters {
			l.More = true
			break
		}
		name := e.User.String()
		if l.Full {
			name = reply.OfLetter(e).User
		}
		l.List = append(l.List, letter{
			name, e.PhoneNumberID, string(e.Operation), user.Scrub(e.Message), user.Scrub(e.Details), e.Attempts, e.FirstFailedAt.UTC(), e.LastFailedAt.UTC(),
		})
	}
	return nil
}
