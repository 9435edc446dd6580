package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/reply"
)

// The bounds of what is shown of the dead-letter queue at once.
const (
	defaultPage = 100
	maxPage     = 1000
	maxEntries  = 1000 // of a dry run
	maxAge      = 100 * 365 * 24 * time.Hour
)

// page is the answer of /v1/dead-letters.
type page struct {
	DeadLetters []reply.DeadLetter `json:"dead_letters"`
	NextCursor  string             `json:"next_cursor,omitempty"`
}

func (s *server) listDeadLetters(ctx context.Context, r *http.Request, _ body) (answer, error) {
	var c choice
	var code, limit, cursor string
	err := query(r, map[string]*string{
		"phone_number_id": &c.phoneNumberID, "code": &code, "older_than": &c.olderThan, "limit": &limit, "cursor": &cursor,
	})
	if err != nil {
		return answer{}, err
	}
	if err := c.codes.parse(code); err != nil {
		return answer{}, err
	}
	f, err := s.filter(c)
	if err != nil {
		return answer{}, err
	}
	n := defaultPage
	if limit != "" {
		if n, err = strconv.Atoi(limit); err != nil || n < 1 || n > maxPage {
			return answer{}, invalid("limit", fmt.Sprintf("limit is from 1 to %d", maxPage))
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || cursor != "" && !deadletter.IsID(string(after)) {
		return answer{}, invalid("cursor", "cursor is the next_cursor of an earlier answer, or left out")
	}
	f.After = string(after)
	out, last := page{DeadLetters: []reply.DeadLetter{}}, ""
	for e, err := range s.dead.All(ctx, f) {
		if err != nil {
			return answer{}, err
		}
		if len(out.DeadLetters) == n {
			out.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		last = e.ID
		out.DeadLetters = append(out.DeadLetters, reply.OfLetter(e))
	}
	return answer{status: http.StatusOK, body: out}, nil
}

// codes are error codes: a number, or several.
type codes []int

// UnmarshalJSON reads one code or a list of them.
func (c *codes) UnmarshalJSON(text []byte) error {
	var one int
	if err := json.Unmarshal(text, &one); err == nil {
		if string(text) != "null" {
			*c = codes{one}
		}
		return nil
	}
	var list []int
	if err := json.Unmarshal(text, &list); err != nil || len(list) > maxCodes {
		return errors.New("not a code or a list of codes")
	}
	*c = list
	return nil
}

// maxCodes is more than there are.
const maxCodes = 100

// parse reads codes from the query: "131047,131021".
func (c *codes) parse(text string) error {
	if text == "" {
		return nil
	}
	words := strings.Split(text, ",")
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || len(words) > maxCodes {
			return invalid("code", "code is an error code of the API; several with commas")
		}
		*c = append(*c, n)
	}
	return nil
}

// choice has the fields that choose entries.
type choice struct {
	phoneNumberID, olderThan, country string
	users                             inputs
	codes                             codes
	all, dryRun                       bool
}

func readChoice(r *http.Request, b body) (choice, error) {
	c := choice{users: inputs{most: maxStatusUsers}}
	err := errors.Join(query(r, nil), b.object(map[string]field{
		"phone_number_id": {&c.phoneNumberID, "a string"}, "users": {&c.users, "a list of strings"}, "country": {&c.country, "a string"},
		"code": {&c.codes, "a code or a list of codes"}, "older_than": {&c.olderThan, "a string"},
		"all": {&c.all, "true or false"}, "dry_run": {&c.dryRun, "true or false"},
	}))
	if err != nil {
		return c, err
	}
	if !c.all && len(c.users.list)+len(c.codes) == 0 && c.olderThan == "" {
		return c, newProblem(http.StatusUnprocessableEntity, "no-filter", "which entries? Name users, code or older_than, or everything with all; dry_run shows what would be done")
	}
	return c, nil
}

// filter returns the entries that were chosen.
func (s *server) filter(c choice) (deadletter.Filter, error) {
	f := deadletter.Filter{PhoneNumberID: c.phoneNumberID, Codes: c.codes}
	if err := checkPhoneNumberID(c.phoneNumberID); err != nil {
		return f, err
	}
	age, err := duration("older_than", c.olderThan, maxAge)
	if err != nil {
		return f, err
	}
	if age > 0 {
		f.FailedBefore = time.Now().Add(-age)
	}
	if len(c.users.list) == 0 {
		return f, nil
	}
	country, err := s.country(c.country)
	if err != nil {
		return f, err
	}
	list := numbers.Parse(c.users.list, country)
	if len(list.Rejected) > 0 {
		p := newProblem(http.StatusUnprocessableEntity, "invalid-users", "some of the users are not numbers: nothing was done")
		p.Rejected = list.Rejected
		return f, p
	}
	f.Users = list.Users
	return f, nil
}

// redriven and discarded add the entries of a dry run.
type (
	redriven struct {
		reply.Redrive
		Entries []reply.DeadLetter `json:"entries,omitempty"`
	}
	discarded struct {
		reply.Discard
		Entries []reply.DeadLetter `json:"entries,omitempty"`
	}
)

func (s *server) redrive(ctx context.Context, r *http.Request, b body) (answer, error) {
	c, err := readChoice(r, b)
	if err != nil {
		return answer{}, err
	}
	f, err := s.filter(c)
	if err != nil {
		return answer{}, err
	}
	var out redriven
	o := deadletter.RedriveOptions{DryRun: c.dryRun, Requester: callerName(ctx)}
	if c.dryRun {
		o.Each = func(e deadletter.Letter, a deadletter.Action, _ string) {
			if len(out.Entries) < maxEntries {
				entry := reply.OfLetter(e)
				entry.Action = a
				out.Entries = append(out.Entries, entry)
			}
		}
	}
	report, err := deadletter.Redrive(ctx, s.dead, s.producer, f, o)
	for _, job := range report.Jobs {
		s.accepted(ctx, job)
	}
	if n := report.Redriven + report.Obsolete; n > 0 && !c.dryRun {
		s.record(ctx, audit.Event{Action: audit.Redrive, PhoneNumberID: c.phoneNumberID, Users: n})
	}
	if err != nil {
		return answer{}, unfinished(err, report.Redriven+report.Obsolete)
	}
	out.Redrive = reply.OfRedrive(report, c.dryRun)
	status := http.StatusAccepted
	if c.dryRun {
		status = http.StatusOK
	}
	return answer{status: status, body: out}, nil
}

func (s *server) discard(ctx context.Context, r *http.Request, b body) (answer, error) {
	c, err := readChoice(r, b)
	if err != nil {
		return answer{}, err
	}
	f, err := s.filter(c)
	if err != nil {
		return answer{}, err
	}
	var out discarded
	o := deadletter.DiscardOptions{DryRun: c.dryRun}
	if c.dryRun {
		o.Each = func(e deadletter.Letter) {
			if len(out.Entries) < maxEntries {
				out.Entries = append(out.Entries, reply.OfLetter(e))
			}
		}
	}
	n, err := s.dead.Discard(ctx, f, o)
	if n > 0 && !c.dryRun {
		s.cfg.Logger.InfoContext(ctx, "api: dead letters discarded", "by", callerName(ctx), "entries", n)
		s.record(ctx, audit.Event{Action: audit.Discard, PhoneNumberID: c.phoneNumberID, Users: n})
	}
	if err != nil {
		return answer{}, unfinished(err, n)
	}
	out.Discard = reply.Discard{Discarded: n, DryRun: c.dryRun}
	return answer{status: http.StatusOK, body: out}, nil
}

// unfinished answers a run over entries that ended early.
func unfinished(err error, done int) error {
	p := *asProblem(err)
	if done > 0 {
		p.Detail = fmt.Sprintf("%d entries were done before the run ended: repeat the request for the rest", done)
	}
	return &p
}
