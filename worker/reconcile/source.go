package reconcile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

// ErrSource is wrapped by every error over a desired list that can't be had, or can't be meant.
var ErrSource = errors.New("no desired list")

// Desired is a desired list as it was read.
type Desired struct {
	Users []user.ID
	// Rejected are the lines that name nobody.
	Rejected []numbers.Rejection
	// FromLedger says that the desired are those whom the ledger wants blocked.
	FromLedger bool
}

// Source gives the desired list.
type Source interface {
	// Name is what people are told of it; it holds no secret.
	Name() string
	// ID tells sources apart that may share a name; it reveals nothing either.
	ID() string
	// Desired reads the list, whole or not at all.
	Desired(ctx context.Context) (Desired, error)
}

// LedgerName is what the source is called that takes what the ledger wants.
const LedgerName = "ledger"

// ParseSource returns the source that a configuration names: a path, a URL, or "ledger".
func ParseSource(s string) (Source, error) {
	switch {
	case s == LedgerName:
		return FromLedger(), nil
	case strings.Contains(s, "://"):
		return FromURL(s)
	case s == "":
		return nil, fmt.Errorf("reconcile: %w: a source is a path, an https URL, or %s", ErrSource, LedgerName)
	default:
		return FromFile(s), nil
	}
}

func idOf(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + " " + name))
	return letters(sum[:8])
}

type ledgerSource struct{}

// FromLedger returns the source of what was last asked for.
func FromLedger() Source { return ledgerSource{} }

func (ledgerSource) Name() string { return LedgerName }
func (ledgerSource) ID() string   { return LedgerName }
func (ledgerSource) Desired(context.Context) (Desired, error) {
	return Desired{FromLedger: true}, nil
}

type fileSource struct{ path string }

// FromFile returns the source of a file of numbers. It is read anew by each run, and refused
// when it changes meanwhile.
func FromFile(path string) Source { return fileSource{path} }

func (f fileSource) Name() string { return user.Scrub(f.path) }
func (f fileSource) ID() string   { return idOf("file", f.path) }

func (f fileSource) Desired(context.Context) (Desired, error) {
	file, err := os.Open(f.path)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			err = pe.Err
		}
		return Desired{}, fmt.Errorf("reconcile: %w: %w", ErrSource, err)
	}
	defer func() { _ = file.Close() }()
	before, err := file.Stat()
	if err != nil {
		return Desired{}, fmt.Errorf("reconcile: %w: the file can't be looked at", ErrSource)
	}
	d, err := readNumbers(file)
	if err != nil {
		return d, err
	}
	if after, err := file.Stat(); before.Mode().IsRegular() && (err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		return Desired{Rejected: d.Rejected}, fmt.Errorf("reconcile: %w: the file was written to while it was read: write a new one, and rename it into place", ErrSource)
	}
	return d, nil
}

// readerSource is what a reader gives, which it does once.
type readerSource struct {
	name string
	read func() (Desired, error)
}

// FromReader returns the source of what r gives, such as standard input. It is read by the first
// run, once.
func FromReader(name string, r io.Reader) Source {
	return readerSource{name, sync.OnceValues(func() (Desired, error) { return readNumbers(r) })}
}

func (r readerSource) Name() string                             { return r.name }
func (r readerSource) ID() string                               { return idOf("reader", r.name) }
func (r readerSource) Desired(context.Context) (Desired, error) { return r.read() }

// readNumbers reads a list whole. An empty one, or one that breaks off, is none: it is no
// word of anybody that nobody should be blocked.
func readNumbers(r io.Reader) (Desired, error) {
	list, err := numbers.Read(r, numbers.Options{})
	d := Desired{Users: list.Users, Rejected: list.Rejected}
	if err != nil {
		return Desired{Rejected: d.Rejected}, fmt.Errorf("reconcile: %w: %w", ErrSource, err)
	}
	return d, nil
}
