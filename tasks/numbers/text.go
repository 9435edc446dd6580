package numbers

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const bufferSize = 64 << 10

const zeroBytes = "it has zero bytes: save it as UTF-8 text or CSV"

// errZeroBytes is for zero bytes beyond the part of a file that is looked at before it is read.
var errZeroBytes = fmt.Errorf("%w: %s", ErrBinary, zeroBytes)

// openText returns the text of r as UTF-8 without a byte order mark. UTF-16 is known by its
// mark, as Windows writes it. What is not text is ErrBinary.
func openText(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(transform.NewReader(r, unicode.BOMOverride(transform.Nop)), bufferSize)
	sample, err := b.Peek(4 << 10)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read: %w", err)
	}
	if what := binaryKind(sample); what != "" {
		return nil, fmt.Errorf("%w: %s", ErrBinary, what)
	}
	return b, nil
}

// binaryKind returns the kind of file that the first bytes show if they are not text, else "".
func binaryKind(sample []byte) string {
	for magic, what := range map[string]string{
		"PK\x03\x04":       "it looks like a spreadsheet (xlsx, ods) or a zip file: export it as CSV",
		"\xd0\xcf\x11\xe0": "it looks like a spreadsheet (xls): export it as CSV",
		"%PDF-":            "it looks like a PDF",
		"\x1f\x8b":         "it looks like a gzip file: unpack it first",
	} {
		if bytes.HasPrefix(sample, []byte(magic)) {
			return what
		}
	}
	control := 0
	for _, c := range sample {
		switch {
		case c == 0:
			return zeroBytes
		case c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\v' && c != '\f':
			control++
		}
	}
	if 20*control > len(sample) {
		return "it is full of control characters: save it as UTF-8 text or CSV"
	}
	return ""
}
