package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// ErrEmpty is wrapped when the file of a secret is empty, as while it is being written.
var ErrEmpty = errors.New("the file is empty")

// maxFileSize bounds what is read of a secret's file; tokens have some hundred bytes.
const maxFileSize = 64 << 10

// Source gives a secret that may be rotated under a running process. Make one with [Static]
// or [File]. It is safe for concurrent use.
type Source struct {
	path string // "" for a static one
	many bool   // the file may have several lines

	mu  sync.Mutex
	now []String // at least one
}

// Static returns a Source that always gives s.
func Static(s String) *Source { return &Source{now: []String{s}} }

// File returns a Source that has read the file at path and reads it again at each
// [Source.Reload]. White space around the secret is dropped. A file that is missing, empty,
// larger than 64 KiB, or holds what no token has (a second line, say, with which no request could
// be made) is an error that names the path and never the content. So is what is no regular file,
// links followed: a pipe, the shell's <(command) too, gives what it holds only once, and nothing
// may wait for a writer.
func File(path string) (*Source, error) { return open(path, false) }

// Lines is File for a secret that is changed while others still use the old one: the file may have up to
// MaxLines, a secret each. The first is the one to use; all of them count where one is checked.
func Lines(path string) (*Source, error) { return open(path, true) }

// MaxLines bounds the secrets of a file that [Lines] reads.
const MaxLines = 10

func open(path string, many bool) (*Source, error) {
	now, err := read(path, many)
	if err != nil {
		return nil, err
	}
	return &Source{path: path, many: many, now: now}, nil
}

// Get returns the secret as it was last read, of several the first.
func (s *Source) Get() String { return s.All()[0] }

// All returns all secrets as they were last read. The caller does not change them.
func (s *Source) All() []String {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Reload reads the file again and reports whether the secret is another one now. On an error
// the old secret stays. A static Source never changes.
func (s *Source) Reload() (changed bool, err error) {
	if s.path == "" {
		return false, nil
	}
	fresh, err := read(s.path, s.many)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = !slices.EqualFunc(s.now, fresh, String.Equal)
	s.now = fresh
	return changed, nil
}

func read(path string, many bool) ([]String, error) {
	text, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := []string{string(text)}
	if many {
		lines = strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	}
	if len(lines) > MaxLines {
		return nil, fmt.Errorf("secret: %s has more than %d lines: is it the right file?", path, MaxLines)
	}
	all := make([]String, len(lines))
	for i, line := range lines {
		if many {
			line = strings.TrimSpace(line)
		}
		if line == "" || strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, fmt.Errorf("secret: %s holds more than one word of printable text: is it the right file?", path)
		}
		all[i] = New(line)
	}
	return all, nil
}

// ReadFile returns what the file of a secret, or of several, holds, without the white space around
// it. Its errors are those of [File], but for what a single secret can't be.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened, which for a pipe may take for ever
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("secret: %s is no regular file, and a pipe can't be read again: name a file, or put the secret into a variable", path)
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("secret: read %s: %w", path, err)
	}
	if len(text) > maxFileSize {
		return nil, fmt.Errorf("secret: %s is larger than 64 KiB: is it the right file?", path)
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF"))) // some editors begin a file with a mark
	if len(text) == 0 {
		return nil, fmt.Errorf("secret: %s: %w", path, ErrEmpty)
	}
	return text, nil
}
