package numbers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

const bufferSize = 64 << 10

const zeroBytes = "it has zero bytes: save it as UTF-8 text or CSV"

// errZeroBytes is for zero bytes beyond the part of a file that is looked at before it is read.
var errZeroBytes = fmt.Errorf("%w: %s", ErrBinary, zeroBytes)

// openText returns the text of r as UTF-8 without a byte order mark. UTF-16 is known by its
// mark, as Windows writes it. What is no text is ErrBinary.
func openText(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(r, bufferSize)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = b.Discard(3)
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		_, _ = b.Discard(2)
		b = bufio.NewReaderSize(&utf16Reader{src: b, order: binary.LittleEndian}, bufferSize)
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		_, _ = b.Discard(2)
		b = bufio.NewReaderSize(&utf16Reader{src: b, order: binary.BigEndian}, bufferSize)
	}
	sample, err := b.Peek(4 << 10)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read: %w", err)
	}
	if what := binaryKind(sample); what != "" {
		return nil, fmt.Errorf("%w: %s", ErrBinary, what)
	}
	return b, nil
}

// binaryKind says what the first bytes of a file are if they are no text, else "".
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

// utf16Reader turns UTF-16 into UTF-8.
type utf16Reader struct {
	src   *bufio.Reader
	order binary.ByteOrder
	// left is what did not fit the caller's buffer.
	left []byte
	err  error
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.left) < len(p) && u.err == nil {
		var r rune
		if r, u.err = u.rune(); u.err == nil {
			u.left = utf8.AppendRune(u.left, r)
		}
	}
	n := copy(p, u.left)
	u.left = append(u.left[:0], u.left[n:]...)
	if n == 0 && len(p) > 0 {
		return 0, u.err
	}
	return n, nil
}

func (u *utf16Reader) rune() (rune, error) {
	first, err := u.unit()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	second, err := u.unit()
	if err != nil {
		return utf8.RuneError, nil //nolint:nilerr // the next call meets it again
	}
	return utf16.DecodeRune(first, second), nil
}

// unit reads two bytes; an odd one at the end is dropped.
func (u *utf16Reader) unit() (rune, error) {
	var b [2]byte
	if _, err := io.ReadFull(u.src, b[:]); err != nil {
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		return 0, err
	}
	return rune(u.order.Uint16(b[:])), nil
}
