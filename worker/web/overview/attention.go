package overview

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/waiting"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// The ages and shares from which something needs attention.
const (
	unserved    = 15 * time.Second // that users wait and no worker has taken them up
	longPause   = 30 * time.Second // of the rate limit
	longWait    = 10 * time.Minute // until what waits will have gone out
	nearlyFull  = 0.95
	someRefused = 0.5 // of the last hour's calls
)

// attention decides, from facts, what needs a person, and says it.
type attention struct{ Facts }

// general returns what concerns all phone number IDs.
func (f attention) general() []Notice {
	var all []Notice
	if f.Memory.full() || f.Silent {
		text := "Redis is full: it takes no new requests"
		if f.Memory.Max > 0 {
			text += fmt.Sprintf(" (%d of %d MB)", f.Memory.Used>>20, f.Memory.Max>>20)
		}
		all = append(all, Notice{
			Severity: Stopped, Cause: CauseRedisFull, Text: sentence(text, "What was accepted is kept, and calls for it go on"),
			Next: "Give Redis more memory (CONFIG SET maxmemory, and maxmemory in redis.conf), or free some; keep maxmemory-policy noeviction.",
		})
	}
	if waiting := f.waiting(); len(f.Workers) == 0 && !f.Silent {
		n := Notice{
			Severity: Stopped, Cause: CauseNoWorker, Text: sentence("No worker is running", amounts.Count(waiting, "user")+" wait"),
			Next: "Start `wablock worker` with the WABLOCK_REDIS_URL of this Redis, and see its log if it ends.",
		}
		if waiting == 0 {
			n.Severity = Warning
		}
		all = append(all, n)
	}
	var held []pause.Pause
	for _, p := range f.Pauses {
		if p.PhoneNumberID == "" {
			held = append(held, p)
		}
	}
	return append(all, pausedNotices(held, f.Now)...)
}

// waiting counts the users that wait, of all phone number IDs.
func (f attention) waiting() (n int) {
	for _, number := range f.Numbers {
		n += number.Backlog.Waiting() + number.Backlog.Later
	}
	return n
}

// pausedNotices returns a notice for each of the pauses of a phone number ID, or of all; one for both operations where
// they were paused together.
func pausedNotices(held []pause.Pause, now time.Time) (all []Notice) {
	if len(held) == 2 && held[0].Since.Equal(held[1].Since) && held[0].Until.Equal(held[1].Until) && held[0].Reason == held[1].Reason {
		return []Notice{pausedNotice(held[0], "Calls", "", now)}
	}
	for _, p := range held {
		all = append(all, pausedNotice(p, "Calls to "+string(p.Operation), " --operation "+string(p.Operation), now))
	}
	return all
}

func pausedNotice(p pause.Pause, calls, flag string, now time.Time) Notice {
	text, resume := calls+" are paused", p.Resume()
	if p.PhoneNumberID == "" {
		text += " for all phone number IDs"
	}
	if !p.Since.IsZero() {
		text += " since " + clock(p.Since, now) + " (" + Span(now.Sub(p.Since)) + ")"
	}
	text += ", by " + p.Who() + ": " + p.Reason
	next := "`" + resume + flag + "` when they may go on."
	if !p.Until.IsZero() {
		next = "They go on at " + clock(p.Until, now) + ", or with `" + resume + flag + "`."
	}
	return Notice{Severity: Stopped, Cause: CausePaused, PhoneNumberID: p.PhoneNumberID, Text: sentence(text), Next: next}
}

// standing holds the state of a phone number ID, and the reason.
type standing struct {
	state       State
	text        string
	since, next time.Time
	lane        fleet.Lane // that tells so, for halted, outage and full
	pauses      []pause.Pause
}

// standing decides the state. A pause of all calls comes first, one of a single operation behind what stops a lane.
func (f attention) standing(n NumberFacts, p PhoneNumber) standing {
	lanes := fleet.LanesOf(f.Workers, n.ID)
	tells, _ := waiting.Facts{Lanes: lanes}.Lane(ledger.Block)
	var held []pause.Pause
	for _, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
		if by, ok := pause.Stops(f.Pauses, n.ID, op); ok {
			held = append(held, by)
		}
	}
	if len(held) == 2 {
		return standing{state: Paused, text: "Calls are paused: " + held[0].Reason, since: held[0].Since, pauses: held}
	}
	switch tells.State {
	case fleet.Halted:
		return f.stopped(Halted, "The API refuses all calls", tells, held)
	case fleet.Outage:
		return f.stopped(Outage, "The API fails all calls", tells, held)
	case fleet.Full:
		return f.stopped(Full, "The blocklist is full: blocks wait, unblocks go on", tells, held)
	case fleet.Running:
	}
	if len(held) > 0 {
		return standing{state: Paused, text: fmt.Sprintf("Calls to %s are paused: %s", held[0].Operation, held[0].Reason), since: held[0].Since, pauses: held}
	}
	waits := p.Waiting.InLine() > 0
	switch {
	case len(f.Workers) == 0 && (waits || p.Waiting.Later > 0):
		return standing{state: NoWorker, text: "No worker is running"}
	case waits && len(lanes) == 0 && f.Now.Sub(p.Oldest) > unserved:
		return standing{state: NoWorker, text: "No running worker calls for it"}
	case p.Waiting.Total() == 0:
		return standing{state: Idle, text: "Nothing waits"}
	}
	return standing{state: Running, text: f.runs(n, p)}
}

// refused returns a lane whose calls the API refuses although that is not the state of the phone number ID: they are paused
// too, or another worker's are served.
func (f attention) refused(id string) (fleet.Lane, bool) {
	lanes := fleet.LanesOf(f.Workers, id)
	i := slices.IndexFunc(lanes, func(l fleet.Lane) bool { return l.State == fleet.Halted })
	if i < 0 {
		return fleet.Lane{}, false
	}
	return lanes[i], true
}

func (f attention) stopped(to State, says string, l fleet.Lane, held []pause.Pause) standing {
	reason := l.Reason
	if l.Code != 0 {
		reason = fmt.Sprintf("%d, %s", l.Code, reason)
	}
	if reason != "" && to != Full {
		says += ": " + reason
	}
	return standing{state: to, text: says, since: l.Since, next: l.NextTrial, lane: l, pauses: held}
}

// runs describes the calls of a phone number ID that go.
func (f attention) runs(n NumberFacts, p PhoneNumber) string {
	switch {
	case n.Limit.PausedUntil.After(f.Now):
		return "The rate limit pauses calls until " + clock(n.Limit.PausedUntil, f.Now)
	case n.Limit.Pinned > 0:
		return "Calls go at the pinned rate of " + PerSecond(n.Limit.Pinned)
	case p.Waiting.InLine() == 0:
		return "Retries and calls in flight are left"
	case n.Limit.Rate > 0:
		return "Calls go, at up to " + PerSecond(n.Limit.Rate)
	}
	return "Calls go"
}

// notices returns what of a phone number ID needs a person.
func (f attention) notices(n NumberFacts, p PhoneNumber, s standing) []Notice {
	var all []Notice
	add := func(cause Cause, text, next string) {
		all = append(all, Notice{Stopped, cause, n.ID, sentence(text), next})
	}
	waits := sentence(f.waits(p))
	since := ""
	if !s.since.IsZero() {
		since = ", since " + clock(s.since, f.Now) + " (" + Span(f.Now.Sub(s.since)) + ")"
	}
	trial := ""
	if s.next.After(f.Now) {
		trial = "The next trial is in " + Span(s.next.Sub(f.Now))
	}
	switch s.state {
	case Halted:
		add(CauseHalted, sentence(s.text+since, waits, trial), cmp.Or(s.lane.Help, "See the worker's log, and `wablock doctor`."))
	case Outage:
		add(CauseOutage, sentence(s.text+since, waits, trial), cmp.Or(s.lane.Help, "See metastatus.com, and `wablock doctor`; calls go again by themselves."))
	case Full:
		add(CauseFull, sentence(fmt.Sprintf("The blocklist is full (%s users), and blocks wait%s", amounts.Thousands(plan.Capacity), since), waits, trial),
			fmt.Sprintf("Unblock users who need no block any more, then `wablock dead-letter redrive --code 139101 --phone-number-id %s`.", n.ID))
	case NoWorker:
		if len(f.Workers) > 0 {
			add(CauseNoWorker, sentence("No running worker calls for this phone number ID", waits),
				"Give a worker its token (phone_numbers in the --config file, or WABLOCK_PHONE_NUMBER_ID), and see the workers' logs.")
		}
	case Running, Idle, Paused:
		if l, ok := f.refused(n.ID); ok {
			reason := f.stopped(Halted, "The API refuses the calls of a worker", l, nil).text
			all = append(all, Notice{Warning, CauseHalted, n.ID, sentence(reason), cmp.Or(l.Help, "See the worker's log, and `wablock doctor`.")})
		}
	}
	own := slices.DeleteFunc(slices.Clone(s.pauses), func(p pause.Pause) bool { return p.PhoneNumberID == "" })
	for _, notice := range pausedNotices(own, f.Now) {
		notice.Text = sentence(notice.Text, waits)
		all = append(all, notice)
	}
	return append(all, f.pace(n, p, s, waits)...)
}

// waits counts the users that wait, and names the age of the oldest.
func (f attention) waits(p PhoneNumber) string {
	total := p.Waiting.Total()
	if total == 0 {
		return ""
	}
	text := amounts.Count(total, "user") + " wait"
	if total == 1 {
		text += "s"
	}
	if !p.Oldest.IsZero() {
		text += ", the oldest for " + Span(f.Now.Sub(p.Oldest))
	}
	return text
}

// pace returns what of a phone number ID's pace, list and dead letters needs a person.
func (f attention) pace(n NumberFacts, p PhoneNumber, s standing, waits string) []Notice {
	var all []Notice
	add := func(sev Severity, cause Cause, text, next string) {
		all = append(all, Notice{sev, cause, n.ID, sentence(text), next})
	}
	release := "`wablock limits release --phone-number-id " + n.ID + "` lets it be learnt again."
	left := ""
	if !p.ExpectedAt.IsZero() {
		left = "It will take about " + Span(p.ExpectedAt.Sub(f.Now)) + " at this pace"
	}
	slow := s.state == Running && p.Waiting.InLine() > 0
	switch {
	case n.Limit.Pinned > 0:
		sev := Note
		if slow && p.ExpectedAt.Sub(f.Now) > longPause {
			sev = Warning
		}
		add(sev, CausePinned, sentence("The rate is pinned at "+PerSecond(n.Limit.Pinned)+" by an operator"+f.setBy(n.Pin), waits, left), release)
	case slow && n.Limit.PausedUntil.Sub(f.Now) > longPause:
		add(Warning, CauseRate, sentence("The API's rate limit is used up: no call goes before "+clock(n.Limit.PausedUntil, f.Now), waits, left),
			"It goes on by itself. Find out which other program calls for the same phone number or account; `wablock limits show` has what was learnt.")
	case slow && p.ExpectedAt.Sub(f.Now) > longWait:
		add(Warning, CauseRate, sentence(fmt.Sprintf("The rate is low: %s of up to %s, by what the API allows", PerSecond(n.Limit.Rate), amounts.Count(n.Limit.MaxUsers, "user")), waits, left),
			f.faster(n))
	case slow && p.Limit.Refused >= someRefused && p.LastHour.Calls >= 10:
		add(Warning, CauseRate, sentence(fmt.Sprintf("The API refused %.0f %% of the last hour's calls for their rate", p.Limit.Refused*100), waits, left), f.faster(n))
	}
	if b := p.Blocklist; b != nil && s.state != Full && float64(b.Users) >= nearlyFull*float64(b.Capacity) {
		add(Note, CauseNearlyFull, fmt.Sprintf("The blocklist held %s of %s users at %s", amounts.Thousands(b.Users), amounts.Thousands(b.Capacity), clock(b.At, f.Now)),
			"Unblock users who need no block any more: when it is full, blocks wait.")
	}
	if r := p.Reconciliation; r != nil && !r.Good {
		add(Warning, CauseReconcile, "The last reconciliation, at "+clock(r.At, f.Now)+", did not do all that it was for: "+r.Text,
			"See `wablock reconcile --history --phone-number-id "+n.ID+"`.")
	}
	if dead := p.LastHour.DeadLettered; dead > 0 && p.Dead > 0 {
		add(Note, CauseDeadLetters, sentence(amounts.Count(dead, "user")+" dead-lettered in the last hour", deadText(n)),
			"Each code's help is under Dead letters; `wablock dead-letter list --summary --phone-number-id "+n.ID+"` has them too.")
	}
	return all
}

// faster gives the means to a higher rate.
func (f attention) faster(n NumberFacts) string {
	if n.Limit.Ceiling > 0 && n.Limit.Rate >= n.Limit.Ceiling*0.99 {
		return fmt.Sprintf("It is the configured ceiling: raise WABLOCK_RATE (%s), or rate under phone_numbers, if the API allows more.", PerSecond(n.Limit.Ceiling))
	}
	if n.Limit.Capped > 0 && n.Limit.Rate >= n.Limit.Capped*0.99 {
		return "It is capped by an operator" + f.setBy(n.Cap) + ": `wablock limits release --phone-number-id " + n.ID + "` ends that."
	}
	return "Find out which other program calls for the same phone number or account; if a past limit no longer holds, `wablock limits release --phone-number-id " + n.ID + "`."
}

// setBy returns who set a rate and when, as far as it is known.
func (f attention) setBy(e audit.Event) string {
	if e.By == "" {
		return ""
	}
	return " (" + e.By + ", " + clock(e.At, f.Now) + ")"
}

// deadText names the codes that most of a phone number ID's dead letters have.
func deadText(n NumberFacts) string {
	var all []string
	for _, c := range n.Dead[:min(len(n.Dead), 4)] {
		all = append(all, fmt.Sprintf("%s × %s", amounts.Thousands(c.Users), codeText(c.Code)))
	}
	return strings.Join(all, ", ")
}

func codeText(code int) string {
	c := CodeOf(code)
	if code == 0 {
		return c.Name
	}
	return fmt.Sprintf("%d %s", code, c.Name)
}
