package numbers

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/wablock/wablock/tasks/user"
)

// Parse reads inputs, such as a command's arguments, of which each is to be one number of the
// country, or with the zero Country an international one. A Rejection's Line is its place among
// them.
func Parse(inputs []string, country user.Country) List {
	r := newReader(Options{Country: country})
	for i, in := range inputs {
		id, reason := r.parse(in, country)
		r.add(id, reason, in, i+1)
	}
	return r.list
}

// Read reads the numbers of a file: CSV or plain lines. It reads r to its end, and keeps nothing
// of it but the List.
//
// The error may wrap ErrEmpty, ErrColumn, ErrBinary, ErrTooMany or what r returned; with ErrEmpty
// the List still has what was rejected.
func Read(r io.Reader, o Options) (List, error) {
	text, err := openText(r)
	if err != nil {
		return List{}, fmt.Errorf("numbers: %w", err)
	}
	rd := newReader(o)
	if err := rd.run(records{lines: lines{r: text}}); err != nil {
		return List{}, fmt.Errorf("numbers: %w", err)
	}
	if len(rd.list.Users) > 0 {
		return rd.list, nil
	}
	if n := len(rd.list.Rejected); n > 0 {
		first := rd.list.Rejected[0]
		return rd.list, fmt.Errorf("numbers: %w: %d rejected, the first in line %d: %s", ErrEmpty, n, first.Line, first.Reason)
	}
	if rd.header || rd.title != "" {
		return rd.list, fmt.Errorf("numbers: %w: nothing stands below its header", ErrEmpty)
	}
	return rd.list, fmt.Errorf("numbers: %w: it is empty", ErrEmpty)
}

// reader is one run of Read.
type reader struct {
	Options
	column  int // from 0
	country int // the column of countries, -1 for none
	header  bool
	begun   bool // the rows of numbers have begun
	title   string
	seen    map[user.ID]struct{}
	list    List
}

func newReader(o Options) *reader {
	if o.MaxRecords == 0 {
		o.MaxRecords = MaxRecords
	}
	return &reader{Options: o, country: -1, seen: make(map[user.ID]struct{})}
}

func (r *reader) run(records records) error {
	for n := 0; ; n++ {
		rec, err := records.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == r.MaxRecords {
			return fmt.Errorf("%w: more than %d", ErrTooMany, r.MaxRecords)
		}
		if !r.begun && rec.fault == "" {
			top, err := r.top(rec.fields)
			if err != nil {
				return err
			}
			if top {
				continue
			}
		}
		r.take(rec)
	}
}

// top reads a row above the numbers, and reports whether it is one: the header, or a title over
// everything. A row that has a number is neither, whatever else stands in it: "user" and "phone"
// are labels as well.
func (r *reader) top(fields []string) (bool, error) {
	number := slices.ContainsFunc(fields, func(f string) bool { _, reason := r.parse(f, r.Country); return reason == "" })
	if r.Column != "" {
		return r.chosen(fields, number)
	}
	best, others := 0, 0
	for i, f := range fields {
		if t := tells(f); t > tells(fields[best]) {
			best = i
		}
		if tells(f) != namesNothing {
			others++
		}
	}
	switch {
	case number && len(fields) > 1:
		r.begin(fields, 0, false, "it is the first, and no header names one")
	case number:
		r.begin(fields, 0, false, "it is the only one")
	case others == 1:
		r.begin(fields, best, true, "its header names it")
	case others > 1:
		r.begin(fields, best, true, "its header is the most telling of "+strconv.Itoa(others))
	case len(fields) > 1:
		return false, fmt.Errorf("%w No header names it; %s", ErrColumn, columnsOf(fields))
	case r.isTitle(fields):
		return true, nil
	default:
		r.begin(fields, 0, false, "it is the only one")
	}
	return r.header, nil
}

// chosen is top where the column was chosen.
func (r *reader) chosen(fields []string, number bool) (bool, error) {
	named := slices.IndexFunc(fields, func(f string) bool { return strings.EqualFold(strings.TrimSpace(f), strings.TrimSpace(r.Column)) })
	if named < 0 {
		key := headerKey(r.Column)
		named = slices.IndexFunc(fields, func(f string) bool { return key != "" && headerKey(f) == key })
	}
	if named >= 0 && !number {
		r.begin(fields, named, true, "it was chosen by its header")
		return true, nil
	}
	if place, err := strconv.Atoi(r.Column); err == nil && place > 0 && place <= maxLine {
		header := !number && (place > len(fields) || !hasDigit(fields[place-1]))
		if header && len(fields) == 1 && place > 1 && r.isTitle(fields) {
			return true, nil
		}
		r.begin(fields, place-1, header, "it was chosen by its place")
		return header, nil
	}
	if len(fields) == 1 && !number && r.isTitle(fields) {
		return true, nil
	}
	return false, fmt.Errorf("%w None is named %q; %s", ErrColumn, shown(r.Column), columnsOf(fields))
}

// isTitle reports whether the row is one text without digits over the whole file, of which there
// is one: a title, or the header of the only column.
func (r *reader) isTitle(fields []string) bool {
	first := r.title == "" && !hasDigit(fields[0])
	if first {
		r.title = strings.Clone(fields[0])
	}
	return first
}

// begin settles which column is read.
func (r *reader) begin(fields []string, column int, header bool, why string) {
	r.begun, r.header, r.column = true, header, column
	c := Column{Number: column + 1, Why: why, Columns: len(fields)}
	if len(fields) == 1 {
		c.Name = shown(r.title)
	}
	if header && column < len(fields) {
		c.Name = shown(fields[column])
		if isWaID(fields[column]) {
			r.Country = user.Country{}
		} else if r.country = slices.IndexFunc(fields, namesCountry); r.country >= 0 {
			c.Country = shown(fields[r.country])
		}
	}
	r.list.Column = c
}

// columnsOf lists the columns of a file for who has to choose one.
func columnsOf(fields []string) string {
	const most = 20
	var names []string
	for i, f := range fields[:min(len(fields), most)] {
		names = append(names, fmt.Sprintf("%d %q", i+1, shown(f)))
	}
	if more := len(fields) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return "its columns are " + strings.Join(names, ", ") + ": choose one with --column, by header or place"
}

// shown returns what may be shown of a header: it could be a number, if it is not a header.
func shown(s string) string {
	const most = 40
	printable := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?' // its escape would have digits
	}
	s = user.Scrub(strings.Map(printable, strings.ToValidUTF8(strings.TrimSpace(s), "?")))
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

func hasDigit(s string) bool { return strings.ContainsFunc(s, unicode.IsDigit) }

func (r *reader) take(rec record) {
	if rec.fault != "" {
		r.add(user.ID{}, rec.fault, rec.raw, rec.line)
		return
	}
	if r.column >= len(rec.fields) {
		r.add(user.ID{}, fmt.Sprintf("the row has no column %d, where the numbers are", r.column+1), rec.raw, rec.line)
		return
	}
	country, field := r.Country, rec.fields[r.column]
	if r.country >= 0 && r.country < len(rec.fields) && strings.TrimSpace(rec.fields[r.country]) != "" {
		own, err := user.ParseCountry(rec.fields[r.country])
		if err != nil && !strings.Contains(field, "+") && !strings.HasPrefix(strings.TrimSpace(field), "00") {
			r.add(user.ID{}, fmt.Sprintf("its country, in column %d, is not a code such as US or +1: write one, or the number with + and the code", r.country+1), field, rec.line)
			return
		}
		country = own
	}
	id, reason := r.parse(field, country)
	switch other := r.other(rec.fields, id); {
	case other == 0:
	case r.settled() && reason == "":
		field, reason = rec.raw, "more than one number: give each a line of its own"
	case r.settled():
	case reason == "":
		field, reason = rec.raw, "numbers in several columns, and no header says which of them counts: choose one with --column"
	default:
		reason += fmt.Sprintf("; column %d holds a number: choose it with --column", other+1)
	}
	r.add(id, reason, field, rec.line)
}

// settled reports whether a header or a choice says which column counts.
func (r *reader) settled() bool { return r.header || r.Column != "" }

// other returns the column of a number other than the row's own, 0 for none. Where it is settled
// which column counts, only cells beyond the first row's are more of the same.
func (r *reader) other(fields []string, own user.ID) int {
	from := 1
	if r.settled() {
		from = max(r.list.Column.Columns, r.column+1)
	}
	for i := from; i < len(fields); i++ {
		if id, reason := r.parse(fields[i], r.Country); reason == "" && id != own {
			return i
		}
	}
	return 0
}

// add takes in the user of an input, or rejects it for the reason.
func (r *reader) add(id user.ID, reason, raw string, line int) {
	if reason != "" {
		r.list.Rejected = append(r.list.Rejected, Rejection{Input: input(raw), Line: line, Reason: reason})
	} else if _, again := r.seen[id]; !again {
		r.seen[id] = struct{}{}
		r.list.Users = append(r.list.Users, id)
		if raw = strings.TrimSpace(raw); raw != id.Reveal() {
			if r.list.Given == nil {
				r.list.Given = make(map[user.ID]string)
			}
			r.list.Given[id] = input(raw)
		}
	}
}

// parse reads one field; reason is why it is not a number.
func (r *reader) parse(field string, country user.Country) (id user.ID, reason string) {
	s := strings.TrimSpace(field)
	// What spreadsheets put around a number to keep it text: '+1650… and ="+1650…".
	s = strings.TrimPrefix(s, "'")
	if inner, ok := strings.CutPrefix(s, `="`); ok {
		s = strings.TrimSuffix(inner, `"`)
	}
	id, err := country.Parse(s)
	if err != nil {
		return id, user.Reason(err)
	}
	return id, ""
}

// ioError returns err unless it only says that there is no more.
func ioError(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
