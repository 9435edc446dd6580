package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wablock/wablock/config/schedule"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/reply"
	"github.com/wablock/wablock/tasks/user"
)

// maxUsers bounds the users of one request for a change.
const maxUsers = 100_000

// keptFor is the time after its end for which a job with a key of its own may be repeated: clients
// that come again the next day are common.
const keptFor = 24 * time.Hour

// changeRequest has the fields of a request to block or unblock.
type changeRequest struct {
	phoneNumberID, queue, delay, country  string
	lasts, until, asOf, reason, reference string
	users                                 inputs
	column                                string // of a file
	everywhere                            bool
}

// change returns the handler of block or unblock.
func (s *server) change(op tasks.Operation) func(context.Context, *http.Request, body) (answer, error) {
	return func(ctx context.Context, r *http.Request, b body) (answer, error) {
		list, request, everywhere, err := s.readChange(r, b)
		if err != nil {
			return answer{}, err
		}
		request.Operation, request.Requester, request.Given = op, callerName(ctx), list.Given
		request.Users = list.Users
		if everywhere {
			return s.everywhere(ctx, request, list)
		}
		switch allowed, rejected, err := s.producer.Allowed(ctx, request, list.Users, list.Rejected); {
		case errors.Is(err, tasks.ErrNoUsers):
			return answer{}, noUsers(rejected)
		case err == nil: // else Redis is away, which Enqueue says with a key to come again with; a lane looks again
			request.Users, list.Rejected = allowed, rejected
		}
		request.Rejected = list.Rejected
		job, err := s.producer.Enqueue(ctx, request)
		if err != nil {
			return answer{}, enqueueProblem(job, err)
		}
		job.Rejected = list.Rejected
		s.accepted(ctx, job)
		out := reply.OfJob(job)
		if list.Column.Number > 0 {
			out.Column = &list.Column
		}
		return s.taken(out, job), nil
	}
}

// taken returns the answer about a change whose first job is this one.
func (s *server) taken(out any, job tasks.Job) answer {
	at := "/v1/jobs/" + url.PathEscape(job.ID)
	if job.PhoneNumberID != s.cfg.PhoneNumberID {
		at += "?phone_number_id=" + job.PhoneNumberID
	}
	a := answer{status: http.StatusAccepted, body: out, header: map[string]string{"Location": at}}
	if job.Repeated {
		a.header["Idempotent-Replayed"] = "true"
	}
	return a
}

// everywhere blocks users on every configured phone number ID.
func (s *server) everywhere(ctx context.Context, request tasks.Request, list numbers.List) (answer, error) {
	switch {
	case request.Operation != tasks.Block:
		return answer{}, invalid("everywhere", "everywhere goes with a block alone")
	case request.PhoneNumberID != "":
		return answer{}, invalid("everywhere", "everywhere means every configured phone number ID, and phone_number_id one of them: leave one out")
	case len(s.cfg.PhoneNumberIDs) == 0:
		return answer{}, invalid("everywhere", "no phone number ID is configured where this is served: set WABLOCK_PHONE_NUMBER_ID, or phone_numbers in the configuration file")
	}
	request.Rejected = list.Rejected
	jobID, jobs, err := s.producer.Everywhere(ctx, s.cfg.PhoneNumberIDs, request)
	if errors.Is(err, tasks.ErrNoUsers) {
		return answer{}, noUsers(list.Rejected)
	}
	if err != nil {
		failed := tasks.Job{ID: jobID}
		if len(jobs) > 0 {
			failed.Accepted = jobs[len(jobs)-1].Accepted
		}
		return answer{}, enqueueProblem(failed, err)
	}
	var first tasks.Job
	for _, job := range jobs {
		if job.Accepted == 0 {
			continue
		}
		s.accepted(ctx, job)
		if first.ID == "" {
			first = job
		}
		first.Repeated = first.Repeated && job.Repeated
	}
	out := reply.OfEverywhere(jobID, jobs, list.Rejected)
	if list.Column.Number > 0 {
		out.Column = &list.Column
	}
	return s.taken(out, first), nil
}

// readChange reads everything of a request but its operation.
func (s *server) readChange(r *http.Request, b body) (list numbers.List, request tasks.Request, everywhere bool, err error) {
	c := changeRequest{users: inputs{most: maxUsers}}
	text := map[string]*string{
		"phone_number_id": &c.phoneNumberID, "queue": &c.queue, "delay": &c.delay, "country": &c.country,
		"for": &c.lasts, "until": &c.until, "as_of": &c.asOf, "reason": &c.reason, "reference": &c.reference,
	}
	if b.kind == kindJSON {
		fields := map[string]field{"users": {&c.users, "a list of strings"}, "everywhere": {&c.everywhere, "true or false"}}
		for name, into := range text {
			fields[name] = field{into, "a string"}
		}
		if err := errors.Join(query(r, nil), b.object(fields)); err != nil {
			return list, request, c.everywhere, err
		}
	} else {
		all := ""
		text["column"], text["everywhere"] = &c.column, &all
		if err := query(r, text); err != nil {
			return list, request, false, err
		}
		if c.everywhere = all == "true"; all != "" && all != "true" && all != "false" {
			return list, request, false, invalid("everywhere", "everywhere is true or false")
		}
	}
	if request, err = s.request(r, c); err != nil {
		return list, request, c.everywhere, err
	}
	country, err := s.country(c.country)
	if err != nil {
		return list, request, c.everywhere, err
	}
	if b.kind == kindJSON {
		list = numbers.Parse(c.users.list, country)
	} else if list, err = readFile(b, numbers.Options{Column: c.column, Country: country, MaxRecords: maxUsers}); err != nil {
		return list, request, c.everywhere, err
	}
	if len(list.Users) == 0 {
		return list, request, c.everywhere, noUsers(list.Rejected)
	}
	if request.JobID != "" {
		if err := tasks.CheckJobID(request.JobID, list.Users...); err != nil {
			return list, request, c.everywhere, badKey(err)
		}
	}
	return list, request, c.everywhere, nil
}

func readFile(b body, o numbers.Options) (numbers.List, error) {
	list, err := numbers.Read(bytes.NewReader(b.text), o)
	switch {
	case err == nil:
		return list, nil
	case errors.Is(err, numbers.ErrEmpty):
		return list, noUsers(list.Rejected)
	case errors.Is(err, numbers.ErrTooMany):
		return list, newProblem(http.StatusRequestEntityTooLarge, "too-many-users", fmt.Sprintf("the file has more than %d records: send several", o.MaxRecords))
	case errors.Is(err, numbers.ErrColumn):
		return list, invalid("column", "the file has several columns, and nothing says which of them holds the numbers: name it with ?column=")
	}
	return list, malformed("the body is not a file of numbers")
}

// request reads the fields that need no list of users.
func (s *server) request(r *http.Request, c changeRequest) (tasks.Request, error) {
	request := tasks.Request{PhoneNumberID: c.phoneNumberID, Queue: ledger.Queue(c.queue)}
	if err := checkPhoneNumberID(c.phoneNumberID); err != nil {
		return request, err
	}
	if c.phoneNumberID == "" && s.cfg.PhoneNumberID == "" && !c.everywhere {
		return request, invalid("phone_number_id", "several phone numbers are configured: say which with phone_number_id")
	}
	if c.queue != "" && request.Queue != tasks.Interactive && request.Queue != tasks.Bulk {
		return request, invalid("queue", "queue is interactive or bulk")
	}
	var err error
	if request.Delay, err = duration("delay", c.delay, tasks.MaxDelay); err != nil {
		return request, err
	}
	if err := timing(c, &request); err != nil {
		return request, err
	}
	if request.Reason, request.Reference = c.reason, c.reference; (ledger.Text{Reason: c.reason, Reference: c.reference}).Check() != nil {
		return request, invalid("reason", "reason has at most 500 characters and reference 200, on one line, without control characters")
	}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 1 {
		return request, badKey(errors.New("there are several"))
	} else if len(keys) == 1 {
		request.JobID, request.Retention = unquote(keys[0]), keptFor
		if err := tasks.CheckJobID(request.JobID); err != nil {
			return request, badKey(err)
		}
	}
	return request, nil
}

// timing reads when a block ends, and what orders the request.
func timing(c changeRequest, request *tasks.Request) error {
	lasts, err := duration("for", c.lasts, tasks.MaxDelay)
	if err != nil {
		return err
	}
	for name, t := range map[string]struct {
		text string
		into *time.Time
	}{"until": {c.until, &request.Until}, "as_of": {c.asOf, &request.AsOf}} {
		if t.text == "" {
			continue
		}
		if *t.into, err = time.Parse(time.RFC3339, t.text); err != nil {
			return invalid(name, name+" is a time such as 2026-12-01T09:00:00Z")
		}
	}
	switch {
	case c.lasts == "":
	case c.until != "":
		return invalid("until", "for and until both say when the block ends: send one of them")
	case lasts <= 0:
		return invalid("for", "for is a duration above 0, such as 7d")
	default:
		request.Until = time.Now().Add(request.Delay + lasts)
	}
	return nil
}

// unquote returns the key of a header, which may be a quoted string as in the draft of the HTTP
// working group, or bare as most clients send it.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s[1 : len(s)-1])
}

func (s *server) country(name string) (user.Country, error) {
	if name == "" {
		return s.cfg.Country, nil
	}
	c, err := user.ParseCountry(name)
	if err != nil {
		return c, invalid("country", "country is the ISO code of a country, such as US, or its calling code, such as +1")
	}
	return c, nil
}

func duration(name, text string, most time.Duration) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := schedule.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, invalid(name, name+" is a duration from 0 up such as 90s, 36h, 7d or 1d12h")
	}
	return d, nil
}

func checkPhoneNumberID(id string) error {
	if id != "" && queues.CheckPhoneNumberID(id) != nil {
		return invalid("phone_number_id", "phone_number_id is the 1 to 32 digits of the Graph ID, which is not the phone number itself")
	}
	return nil
}

func invalid(name, detail string) *problem {
	return newProblem(http.StatusUnprocessableEntity, "invalid-"+strings.ReplaceAll(name, "_", "-"), detail)
}

func badKey(err error) *problem {
	return newProblem(http.StatusUnprocessableEntity, "invalid-idempotency-key", "Idempotency-Key: "+err.Error())
}

func noUsers(rejected []tasks.Rejection) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "no-users", "the request names no user: nothing was done")
	p.Rejected = rejected
	return p
}

// enqueueProblem answers what Enqueue returned.
func enqueueProblem(job tasks.Job, err error) error {
	if errors.Is(err, tasks.ErrJobConflict) {
		return newProblem(http.StatusConflict, "job-conflict", "the Idempotency-Key belongs to another request, of other users, another operation, queue or phone number ID, or a block for good where the other ends: nothing was done")
	}
	if errors.Is(err, tasks.ErrJobCanceled) {
		return newProblem(http.StatusConflict, "job-canceled", "the job of this Idempotency-Key was canceled, and is not done: choose another key to ask for it anew")
	}
	if _, ok := errors.AsType[*tasks.EnqueueError](err); !ok {
		return newProblem(http.StatusUnprocessableEntity, "invalid-request", strings.NewReplacer("tasks: everywhere: ", "", "tasks: enqueue: ", "").Replace(err.Error()))
	}
	p := asProblem(err)
	p.JobID = job.ID
	if job.Accepted > 0 {
		p.Detail = fmt.Sprintf("%d users were accepted, the others not: repeat the request with the Idempotency-Key in job_id", job.Accepted)
	}
	return p
}
