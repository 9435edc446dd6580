package numbers

import (
	"regexp"
	"slices"
	"strings"
)

// record is one row: its fields without quotes, or what is wrong with it.
type record struct {
	raw    string // as it stands in the file
	fields []string
	line   int
	fault  string
}

// records reads rows of CSV, far more forgivingly than encoding/csv: a quote that never closes
// costs its own line, not the rest of the file.
type records struct {
	lines lines
	// comma parts the fields; 0 until the first line that has one shows which it is.
	comma byte
	begun bool // a record was returned
}

// next returns the next record, io.EOF when there is none. It passes over blank lines,
// comments, and the line "sep=;" by which Excel names its comma.
func (r *records) next() (record, error) {
	for {
		l, err := r.lines.next()
		if err != nil {
			return record{}, err
		}
		if l.long {
			return record{raw: l.text, line: l.number, fault: "the line is longer than 64 KiB"}, nil
		}
		text := strings.TrimSpace(l.text)
		if text == "" || text[0] == '#' && !r.header(text) {
			continue
		}
		if l.number == 1 && len(text) == len("sep=;") && strings.EqualFold(text[:4], "sep=") {
			r.comma = text[4]
			continue
		}
		if r.comma == 0 && !rounded.MatchString(text) {
			r.comma = guessComma(l.text)
		}
		rec, err := r.parse(l)
		if err != nil || !rec.blank() {
			r.begun = true
			return rec, err
		}
	}
}

// rounded matches a line that is one number, rounded by a spreadsheet, with a decimal comma.
var rounded = regexp.MustCompile(`^[0-9],[0-9]+[eE]\+?[0-9]+$`)

// header reports whether a line that starts with # is not a comment but a header: the first of
// several names of columns is #, as above the numbers of rows, or starts with it. Behind # and a
// space there is a comment, whatever it speaks of.
func (r *records) header(text string) bool {
	comma := guessComma(text)
	if r.begun || comma == 0 || strings.HasPrefix(text, "# ") {
		return false
	}
	fields, state := split(text, comma)
	if state != complete {
		return false
	}
	fields[0] = strings.TrimPrefix(fields[0], "#")
	known := slices.ContainsFunc(fields, func(f string) bool { return tells(f) != namesNothing })
	alone := fields[0] == "" && slices.ContainsFunc(fields[1:], func(f string) bool { return strings.TrimSpace(f) != "" && !hasDigit(f) })
	return known || alone
}

// blank reports whether all fields are: the rows that Excel writes below a table.
func (r record) blank() bool {
	for _, f := range r.fields {
		if strings.TrimSpace(f) != "" {
			return false
		}
	}
	return r.fault == ""
}

// guessComma returns what parts the fields of a line: of tab, semicolon and comma the most
// frequent outside quotes; 0 when it has none of them.
func guessComma(text string) byte {
	var tabs, semicolons, commas int
	quoted := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\t':
			tabs++
		case c == ';':
			semicolons++
		case c == ',':
			commas++
		}
	}
	switch most := max(tabs, semicolons, commas); most {
	case 0:
		return 0
	case tabs:
		return '\t'
	case semicolons:
		return ';'
	default:
		return ','
	}
}

// parse reads the record that begins with first, with the lines that belong to it.
func (r *records) parse(first line) (record, error) {
	rec := record{raw: first.text, line: first.number}
	text := first.text
	var more []line
	for {
		fields, state := split(text, r.comma)
		switch {
		case state == complete:
			rec.raw, rec.fields = text, fields
			return rec, nil
		case state == broken || len(more) == maxLines || len(text) > maxLine:
			r.lines.unread(more)
			rec.fault = "a quotation mark that does not close its field"
			return rec, nil
		}
		next, err := r.lines.next()
		if err != nil || next.long { // the end of the file, or nothing that belongs here
			if err == nil {
				more = append(more, next)
			}
			r.lines.unread(more)
			rec.fault = "a quotation mark that never closes"
			return rec, ioError(err)
		}
		more = append(more, next)
		text += "\n" + next.text
	}
}

type splitState int

const (
	complete splitState = iota
	open                // a quoted field goes on in the next line
	broken              // something other than a comma stands behind a closing quote
)

// split parts a record into its fields. A field is quoted when its first character is a quote;
// a quote elsewhere is a character like others.
func split(text string, comma byte) ([]string, splitState) {
	var fields []string
	for {
		blank := len(text) - len(strings.TrimLeft(text, " "))
		if strings.HasPrefix(text[blank:], `"`) {
			field, rest, ok := unquote(text[blank+1:])
			if !ok {
				return nil, open
			}
			rest = strings.TrimLeft(rest, " ")
			fields = append(fields, field)
			if rest == "" {
				return fields, complete
			}
			if comma == 0 || rest[0] != comma {
				return nil, broken
			}
			text = rest[1:]
			continue
		}
		end := -1
		if comma != 0 {
			end = strings.IndexByte(text, comma)
		}
		if end < 0 {
			return append(fields, text), complete
		}
		fields = append(fields, text[:end])
		text = text[end+1:]
	}
}

// unquote returns what stands before the closing quote, where two quotes are one, and behind.
func unquote(text string) (field, rest string, ok bool) {
	end := strings.IndexByte(text, '"')
	if end >= 0 && !strings.HasPrefix(text[end+1:], `"`) {
		return text[:end], text[end+1:], true
	}
	var b strings.Builder
	for end >= 0 {
		b.WriteString(text[:end])
		text = text[end+1:]
		if !strings.HasPrefix(text, `"`) {
			return b.String(), text, true
		}
		b.WriteByte('"')
		text = text[1:]
		end = strings.IndexByte(text, '"')
	}
	return "", "", false
}
