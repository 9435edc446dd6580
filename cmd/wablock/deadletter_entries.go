package main

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/reply"
	"github.com/wablock/wablock/tasks/user"
)

// choice holds the flags that choose entries.
type choice struct {
	codes     []int
	all       bool
	olderThan time.Duration
	numbers   numberFlags // the country alone
}

func (c *choice) flags(f *pflag.FlagSet, all string) {
	f.IntSliceVar(&c.codes, "code", nil, "only entries with this error `code` of the API; several with commas")
	f.BoolVar(&c.all, "all", false, all)
	durationVar(f, &c.olderThan, "older-than", 0, "only entries whose last failure was longer ago, for example 24h")
	c.numbers.addCountry(f)
}

// filters returns what was chosen: one filter for numbers and, when nothing speaks of numbers
// alone, one for malformed tasks, which belong to no phone number.
func (c choice) filters(args []string, phoneNumberID string, country user.Country) ([]deadletter.Filter, error) {
	if c.olderThan < 0 {
		return nil, usagef("--older-than is from 0 up")
	}
	o, err := c.numbers.options(country)
	if err != nil {
		return nil, err
	}
	f := deadletter.Filter{PhoneNumberID: phoneNumberID, Codes: c.codes, Kind: deadletter.UsersOnly}
	for i, arg := range args {
		id, err := o.Country.Parse(arg)
		if err != nil {
			return nil, usagef("argument %d: %s; nothing was done", i+1, user.Reason(err))
		}
		f.Users = append(f.Users, id)
	}
	if c.olderThan > 0 {
		f.FailedBefore = time.Now().Add(-c.olderThan)
	}
	filters := []deadletter.Filter{f}
	if len(f.Users)+len(f.Codes) == 0 {
		filters = append(filters, deadletter.Filter{FailedBefore: f.FailedBefore, Kind: deadletter.MalformedOnly})
	}
	return filters, nil
}

// explicit refuses to change everything by accident.
func (c choice) explicit(args []string, verb string) error {
	if c.all || len(args) > 0 || len(c.codes) > 0 || c.olderThan > 0 {
		return nil
	}
	return usagef("which entries? Name numbers, --code or --older-than, or %s everything with --all; --dry-run shows what would be done", verb)
}

// event returns what the audit log holds of a change of n entries.
func (c choice) event(a audit.Action, by string, d *deadLetters, args []string, n int) audit.Event {
	e := audit.Event{Action: a, By: by, PhoneNumberID: d.phoneNumberID, Users: n}
	if len(args) == 1 && n == 1 {
		e.User = d.filters[0].Users[0]
	}
	for i, code := range c.codes {
		if i > 0 {
			e.Detail += ", "
		}
		e.Detail += "code " + strconv.Itoa(code)
	}
	return e
}

// deadLetters holds what the three commands work with.
type deadLetters struct {
	queue         *deadletter.Queue
	producer      *tasks.Producer
	filters       []deadletter.Filter
	rdb           redis.UniversalClient
	phoneNumberID string // "" for all
	close         func()
}

func openDeadLetters(c *cli, cmd *cobra.Command, args []string, which choice) (*deadLetters, error) {
	cfg, err := c.config(cmd)
	if err != nil {
		return nil, err
	}
	d := &deadLetters{phoneNumberID: cfg.PhoneNumberID}
	if d.filters, err = which.filters(args, d.phoneNumberID, cfg.DefaultCountry); err != nil {
		return nil, err
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return nil, err
	}
	d.rdb, d.close = rdb, func() { _ = rdb.Close() }
	d.queue = deadletter.New(rdb)
	if d.producer, err = app.NewProducer(cfg, rdb, "", logger(c, cfg, c.err)); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// entries returns the entries that were chosen.
func (d *deadLetters) entries(ctx context.Context) iter.Seq2[deadletter.Letter, error] {
	return func(yield func(deadletter.Letter, error) bool) {
		for _, f := range d.filters {
			for e, err := range d.queue.All(ctx, f) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

func deadLetterColumns() []string {
	return []string{"user", "phone number id", "operation", "code", "message", "attempts", "last failed"}
}

func deadLetterRow(j reply.DeadLetter) []string {
	if m := j.Malformed; m != nil {
		return []string{"(malformed task)", "", m.TaskType, "", m.Reason, "", stamp(j.LastFailedAt)}
	}
	message := j.Message
	if j.Details != "" && j.Details != j.Message {
		message += ": " + j.Details
	}
	return []string{
		j.User, j.PhoneNumberID, string(j.Operation), codeText(j.Code), message, strconv.Itoa(j.Attempts), stamp(j.LastFailedAt),
	}
}

// preview shows the entries of a dry run as they come, and holds none of them: there may be
// hundreds of thousands. As JSON they are the array "entries" of the answer.
type preview struct {
	*answer
	n   int
	err error
}

func newPreview(c *cli, columns ...string) *preview {
	return &preview{answer: newAnswer(c, columns...)}
}

func (p *preview) show(e reply.DeadLetter, row func() []string) {
	if p.err != nil {
		return
	}
	p.n++
	if p.enc == nil {
		p.err = p.add(e, row)
		return
	}
	before := ","
	if p.n == 1 {
		before = `{"entries":[`
	}
	p.err = p.raw(before, e)
}

// end ends the answer; rest holds the other fields of the JSON object.
func (p *preview) end(rest any) error {
	if p.enc != nil && p.err == nil {
		if p.n == 0 {
			return errors.Join(p.enc.Encode(rest), p.flush())
		}
		var b []byte
		if b, p.err = json.Marshal(rest); p.err == nil {
			_, p.err = p.w.WriteString("]," + string(b[1:]) + "\n")
		}
	}
	return errors.Join(p.err, p.flush())
}

// raw writes text and v, without the line feed of an Encoder.
func (p *preview) raw(text string, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = p.w.WriteString(text + string(b))
	}
	return err
}
