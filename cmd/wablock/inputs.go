package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	numberfile "github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

// numberFlags are the flags of commands that take numbers.
type numberFlags struct {
	file, column, country string
}

const fileUsage = "`file` of numbers, one a line or CSV; - is standard input"

const numbersHelp = `

NUMBER is an international phone number (spaces, dashes, dots and brackets are forgiven), a
WhatsApp ID or a business-scoped user ID; docs/numbers.md has what is read as what. A file has
one a line, or is CSV: a header such as phone_number, mobile or wa_id names its column, or
--column does.`

func (n *numberFlags) add(f *pflag.FlagSet, usage string) {
	f.StringVarP(&n.file, "file", "f", "", usage)
	f.StringVar(&n.column, "column", "", "the `column` of the file that holds the numbers: its header, or its place from 1")
	n.addCountry(f)
}

func (n *numberFlags) addCountry(f *pflag.FlagSet) {
	f.StringVar(&n.country, "country", "", "read numbers without a country code as national ones of this `country`: US, or +1")
}

// options returns how numbers are to be read, without --country as those of the default country.
func (n *numberFlags) options(country user.Country) (numberfile.Options, error) {
	o := numberfile.Options{Column: n.column, Country: country}
	if n.country == "" {
		return o, nil
	}
	var err error
	if o.Country, err = user.ParseCountry(n.country); err != nil {
		return o, &exitError{code: exitUsage, text: "--country", err: err}
	}
	return o, nil
}

// inputs are the numbers that a command was given, by arguments, a file, or both.
type inputs struct {
	users    []user.ID          // each once
	given    map[user.ID]string // as they were written, where that differs
	rejected []tasks.Rejection
	args     int                // how many of rejected, the first, are arguments
	column   *numberfile.Column // of the file, nil without one
}

// maxShownRejections bounds the rejections that are printed; --json has all of them.
const maxShownRejections = 20

// readInputs reads numbers. With a file that is missing, unreadable or holds none, or without any
// number at all, the error is one of usage.
func readInputs(ctx context.Context, c *cli, args []string, n numberFlags, country user.Country) (inputs, error) {
	var in inputs
	o, err := n.options(country)
	if err != nil {
		return in, err
	}
	if n.column != "" && n.file == "" {
		return in, usagef("--column goes with --file")
	}
	if len(args) == 0 && n.file == "" {
		return in, usagef("no numbers: name some, or a file of them with --file (- is standard input)")
	}
	list := numberfile.Parse(args, o.Country)
	in.rejected, in.args = list.Rejected, len(list.Rejected)
	in.add(list.Users)
	in.given = list.Given
	if n.file != "" {
		list, err := readNumbers(ctx, c, n.file, o)
		in.rejected = append(in.rejected, list.Rejected...)
		in.add(list.Users)
		in.addGiven(list.Given)
		in.column = &list.Column
		showColumn(c, list.Column)
		if err != nil {
			showRejected(c, in)
			return in, &exitError{code: exitUsage, text: "--file " + n.file, err: err}
		}
	}
	showRejected(c, in)
	if len(in.users) == 0 {
		return in, usagef("none of the numbers given is valid, and nothing was done")
	}
	return in, nil
}

// addGiven adds how users were written, where that is not known yet.
func (in *inputs) addGiven(given map[user.ID]string) {
	if in.given == nil {
		in.given = given
		return
	}
	for u, as := range given {
		if _, known := in.given[u]; !known {
			in.given[u] = as
		}
	}
}

// showColumn names the column of a file that was read among several, and the reason.
func showColumn(c *cli, column numberfile.Column) {
	if column.Columns > 1 && column.Number > 0 {
		c.say("%s", column)
	}
}

// add adds users that are not there yet.
func (in *inputs) add(users []user.ID) {
	if len(in.users) == 0 && len(users) > 1 {
		in.users = make([]user.ID, 0, len(users))
	}
	seen := make(map[user.ID]struct{}, len(in.users)+len(users))
	for _, u := range in.users {
		seen[u] = struct{}{}
	}
	for _, u := range users {
		if _, again := seen[u]; !again {
			seen[u] = struct{}{}
			in.users = append(in.users, u)
		}
	}
}

// readNumbers reads a file of numbers; "-" is standard input.
func readNumbers(ctx context.Context, c *cli, name string, o numberfile.Options) (numberfile.List, error) {
	r, closeFile, err := openInput(ctx, c, name)
	if err != nil {
		return numberfile.List{}, err
	}
	defer closeFile()
	return numberfile.Read(r, o)
}

// openInput opens a file, which may be a pipe, until ctx ends; "-" is standard input.
func openInput(ctx context.Context, c *cli, name string) (r io.Reader, closeFile func(), err error) {
	if name == "-" {
		return c.in, func() {}, nil
	}
	f, err := interruptibly(ctx, func() (*os.File, error) { return os.Open(name) }) //nolint:gosec // the user names the file
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return nil, nil, err
	}
	return interruptible(ctx, f), func() { _ = f.Close() }, nil
}

// showRejected prints which inputs are not numbers, and why. It does not repeat them, since
// messages end in logs: people see them in the file, or in the JSON.
func showRejected(c *cli, in inputs) {
	if len(in.rejected) == 0 {
		return
	}
	for i, r := range in.rejected[:min(len(in.rejected), maxShownRejections)] {
		where := "line"
		if i < in.args {
			where = "argument"
		}
		c.say("%s %d rejected: %s", where, r.Line, r.Reason)
	}
	if more := len(in.rejected) - maxShownRejections; more > 0 {
		c.say("%s more rejected; --json lists all", amounts.Thousands(more))
	}
}
