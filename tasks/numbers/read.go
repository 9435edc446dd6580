package numbers

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// Read reads the numbers of a file: CSV or plain lines. The column is the first whose header
// is user, phone, phone_number or number, or the first of all. It reads r to its end, and
// keeps nothing of it but the List.
//
// The error may wrap ErrEmpty, ErrBinary, ErrTooMany or what r returned; with ErrEmpty the
// List still says what was rejected.
func Read(r io.Reader) (List, error) {
	text, err := openText(r)
	if err != nil {
		return List{}, fmt.Errorf("numbers: %w", err)
	}
	rd := reader{records: records{lines: lines{r: text}}, seen: make(map[user.ID]struct{})}
	if err := rd.run(); err != nil {
		return List{}, fmt.Errorf("numbers: %w", err)
	}
	if len(rd.list.Users) > 0 {
		return rd.list, nil
	}
	if n := len(rd.list.Rejected); n > 0 {
		first := rd.list.Rejected[0]
		return rd.list, fmt.Errorf("numbers: %w: %d rejected, the first in line %d: %s", ErrEmpty, n, first.Line, first.Reason)
	}
	return rd.list, fmt.Errorf("numbers: %w: it is empty", ErrEmpty)
}

// reader is one run of Read.
type reader struct {
	records records
	column  int
	seen    map[user.ID]struct{}
	list    List
}

func (r *reader) run() error {
	for n := 0; ; n++ {
		rec, err := r.records.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == MaxRecords {
			return fmt.Errorf("%w: more than %d", ErrTooMany, MaxRecords)
		}
		if n == 0 && rec.fault == "" {
			if column := headerColumn(rec.fields); column >= 0 {
				r.column = column
				continue
			}
		}
		r.take(rec)
	}
}

// headerColumn returns the place of the first field that names a column of numbers, -1 when
// there is none. A row that has a number is no header, whatever else stands in it: "user" and
// "phone" are labels as well.
func headerColumn(fields []string) int {
	if slices.ContainsFunc(fields, func(f string) bool { _, reason := parse(f); return reason == "" }) {
		return -1
	}
	for i, f := range fields {
		name := strings.ToLower(strings.TrimSpace(f))
		switch strings.NewReplacer(" ", "_", "-", "_").Replace(name) {
		case "user", "phone", "phone_number", "number":
			return i
		}
	}
	return -1
}

func (r *reader) take(rec record) {
	if rec.fault != "" {
		r.reject(rec.raw, rec.line, rec.fault)
		return
	}
	if r.column >= len(rec.fields) {
		r.reject(rec.raw, rec.line, fmt.Sprintf("the row has no column %d, where the numbers are", r.column+1))
		return
	}
	field := rec.fields[r.column]
	id, reason := parse(field)
	if reason != "" {
		r.reject(field, rec.line, reason)
		return
	}
	if _, again := r.seen[id]; !again {
		r.seen[id] = struct{}{}
		r.list.Users = append(r.list.Users, id)
	}
}

func (r *reader) reject(raw string, line int, reason string) {
	r.list.Rejected = append(r.list.Rejected, Rejection{Input: input(raw), Line: line, Reason: reason})
}

// scientific is what spreadsheets make of long numbers: 1.65056E+10.
var scientific = regexp.MustCompile(`^[0-9]([.,][0-9]+)?[eE]\+[0-9]+$`)

// parse reads one field; reason says why it is no number.
func parse(field string) (id user.ID, reason string) {
	s := strings.TrimSpace(field)
	// What spreadsheets put around a number to keep it text: '+1650… and ="+1650…".
	s = strings.TrimPrefix(s, "'")
	if inner, ok := strings.CutPrefix(s, `="`); ok {
		s = strings.TrimSuffix(inner, `"`)
	}
	id, err := user.Parse(s)
	if err == nil {
		return id, ""
	}
	if scientific.MatchString(s) {
		return id, "rounded by a spreadsheet: format the column as text and export it again"
	}
	if invalid, ok := errors.AsType[*user.InvalidError](err); ok {
		return id, invalid.Reason
	}
	return id, "not a phone number"
}

// ioError returns err unless it only says that there is no more.
func ioError(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
