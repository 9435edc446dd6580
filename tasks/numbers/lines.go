package numbers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// line is one line of text, without its end.
type line struct {
	text   string
	number int // from 1
	// long says that the line was longer than maxLine: text is its beginning.
	long bool
}

// lines reads lines, and takes them back.
type lines struct {
	r    *bufio.Reader
	last int
	// back are lines that were given back, the next one last.
	back []line
	buf  []byte
}

// next returns the next line, io.EOF when there is none. A line ends with LF, CR LF or CR.
func (l *lines) next() (line, error) {
	if n := len(l.back); n > 0 {
		next := l.back[n-1]
		l.back = l.back[:n-1]
		return next, nil
	}
	l.buf = l.buf[:0]
	long, some := false, false
	for {
		c, err := l.r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && some {
				break
			}
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("read: %w", err)
			}
			return line{}, err
		}
		some = true
		if c == 0 {
			return line{}, errZeroBytes
		}
		if c == '\n' {
			break
		}
		if c == '\r' {
			if after, err := l.r.Peek(1); err == nil && after[0] == '\n' {
				_, _ = l.r.Discard(1)
			}
			break
		}
		if len(l.buf) == maxLine {
			long = true
			continue
		}
		l.buf = append(l.buf, c)
	}
	l.last++
	return line{text: string(l.buf), number: l.last, long: long}, nil
}

// unread gives lines back, which next then returns again in their order.
func (l *lines) unread(again []line) {
	for _, a := range slices.Backward(again) {
		l.back = append(l.back, a)
	}
}
