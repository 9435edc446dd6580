package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/wablock/wablock/client"
)

// answer writes what a command answers: JSON for machines, one object a line, or a table for
// people. flush ends it.
type answer struct {
	w       *bufio.Writer
	enc     *json.Encoder // nil: for people
	columns []string
	table   table.Writer
	rows    int
}

// maxRows bounds the rows that are kept in memory to align the columns of a table.
const maxRows = 1000

// newAnswer starts an answer; columns are those of the table.
func newAnswer(c *cli, columns ...string) *answer {
	o := &answer{w: bufio.NewWriterSize(c.out, 64<<10), columns: columns}
	if c.json {
		o.enc = json.NewEncoder(o.w)
		o.enc.SetEscapeHTML(false)
	}
	return o
}

// add adds one object: v as JSON, or a row of the table.
func (o *answer) add(v any, row func() []string) error {
	if o.enc != nil {
		return o.enc.Encode(v)
	}
	if o.table == nil {
		o.table = newTable()
		if o.rows == 0 {
			o.table.AppendHeader(tableRow(o.columns))
		}
	}
	o.table.AppendRow(tableRow(row()))
	if o.rows++; o.rows%maxRows == 0 {
		o.render()
	}
	return nil
}

// entry writes what the API returned for a user; for people its most telling name.
func (o *answer) entry(e client.Entry) error {
	if o.enc == nil {
		return o.line(cmp.Or(e.WaID, e.UserID, e.ParentUserID))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, e.Raw); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := o.w.Write(b.Bytes())
	return err
}

// line writes one line for people.
func (o *answer) line(s string) error {
	_, err := o.w.WriteString(printable(s) + "\n")
	return err
}

func (o *answer) render() {
	if o.table != nil {
		for l := range strings.Lines(o.table.Render() + "\n") {
			_, _ = o.w.WriteString(strings.TrimRight(l, " \n") + "\n")
		}
		o.table = nil
	}
}

func (o *answer) flush() error {
	o.render()
	return o.w.Flush()
}

func newTable() table.Writer {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatUpper
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	t.SetStyle(style)
	return t
}

func tableRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i, c := range cells {
		row[i] = printable(c)
	}
	return row
}

// printable keeps what came from outside from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
}

// answerWith prints an answer: the JSON, or lines for people.
func answerWith(c *cli, v any, lines ...string) error {
	if c.json {
		return printOne(c.out, v)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(c.out, printable(l)); err != nil {
			return err
		}
	}
	return nil
}

// printOne writes a single JSON object.
func printOne(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// stamp shows a time to people, in their zone, "" for never.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// codeText shows an error code; what failed without one, as in an outage, has none.
func codeText(code int) string {
	if code == 0 {
		return ""
	}
	return strconv.Itoa(code)
}
