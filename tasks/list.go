package tasks

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// A job's list holds, for each of its parts, the users as they were given, and in the first part what was
// rejected: a line for each, fields between tabs. It may be deflated; its first byte tells.
const (
	listPlain    = 'p'
	listDeflated = 'z'
	deflateFrom  = 200     // bytes
	maxList      = 4 << 20 // bytes of one part, inflated
	maxListed    = 10_000  // rejections that are kept
)

// encodeList returns what is kept of a part.
func encodeList(users []user.ID, given map[user.ID]string, rejected []Rejection) []byte {
	var b bytes.Buffer
	b.WriteByte(listPlain)
	for _, u := range users {
		b.WriteString(u.Reveal())
		if as := given[u]; as != "" {
			b.WriteString("\t" + oneField(as))
		}
		b.WriteByte('\n')
	}
	for _, r := range rejected[:min(len(rejected), maxListed)] {
		_, _ = fmt.Fprintf(&b, "!%d\t%s\t%s\n", r.Line, oneField(r.Reason), oneField(r.Input)) // a buffer takes everything
	}
	if b.Len() < deflateFrom {
		return b.Bytes()
	}
	var z bytes.Buffer
	z.WriteByte(listDeflated)
	w, err := flate.NewWriter(&z, flate.BestSpeed)
	if err != nil {
		return b.Bytes()
	}
	if _, err := w.Write(b.Bytes()[1:]); err != nil || w.Close() != nil {
		return b.Bytes()
	}
	return z.Bytes()
}

// oneField returns s without what ends a field.
func oneField(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, s)
}

// listed is one line of a list: a user as given, or a rejected input.
type listed struct {
	user     user.ID // zero for a rejected input
	given    string
	rejected Rejection
}

var errList = errors.New("the job's list of users can't be read: another program, or a newer one, wrote it")

// decodeList reads what encodeList returned.
func decodeList(b []byte) ([]listed, error) {
	if len(b) == 0 {
		return nil, errList
	}
	text := b[1:]
	switch b[0] {
	case listPlain:
	case listDeflated:
		var err error
		if text, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[1:])), maxList)); err != nil {
			return nil, errList
		}
	default:
		return nil, errList
	}
	var out []listed
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "!"); ok {
			number, rest, _ := strings.Cut(rest, "\t")
			reason, in, _ := strings.Cut(rest, "\t")
			n, err := strconv.Atoi(number)
			if err != nil {
				return nil, errList
			}
			out = append(out, listed{rejected: Rejection{Line: n, Reason: reason, Input: in}})
			continue
		}
		name, given, _ := strings.Cut(line, "\t")
		id, err := user.FromCanonical(name)
		if err != nil {
			return nil, errList
		}
		if given == "" {
			given = name
		}
		out = append(out, listed{user: id, given: given})
	}
	return out, nil
}
