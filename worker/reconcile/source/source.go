// Package source reads desired lists: the users that should be blocked.
//
// A desired list decides which users a reconciliation unblocks, so it is read whole or not at all:
// what is missing, empty, cut short or changing while it is read is an error, never a shorter
// list.
package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
)

// ErrUnusable is wrapped by every error over a desired list that can't be read, or can't be
// meant.
var ErrUnusable = errors.New("no desired list")

// MaxUsers bounds a desired list, duplicates and rejected lines included: four times the 64,000
// that a blocklist holds. A longer one is a mistake, and a worker has little memory to plan in.
const MaxUsers = 256_000

// List is a desired list as it was read.
type List struct {
	Users []user.ID
	// Rejected are the lines that hold no number.
	Rejected []numbers.Rejection
	// Column is the column of a file that was read.
	Column numbers.Column
	// FromLedger means the users that the ledger wants blocked, in place of Users.
	FromLedger bool
}

// Source gives the desired list. The name holds no secret; the ID differs for sources that
// share a name, and reveals nothing either.
type Source interface {
	Name() string
	ID() string
	// Read returns the list, whole or not at all. A run calls it twice.
	Read(ctx context.Context) (List, error)
}

// ledgerName names the ledger in configurations.
const ledgerName = "ledger"

// Parse returns the source that a configuration names: a path, a URL, or "ledger". Its numbers are
// read by o.
func Parse(s string, o numbers.Options) (Source, error) {
	switch {
	case s == ledgerName:
		return Ledger(), nil
	case strings.Contains(s, "://"):
		return URL(s, o)
	case s == "":
		return nil, fmt.Errorf("%w: a source is a path, an https URL, or %s", ErrUnusable, ledgerName)
	default:
		return File(s, o), nil
	}
}

// Ledger returns the source of what was last requested through wablock.
func Ledger() Source { return wanted{} }

type wanted struct{}

func (wanted) Name() string                       { return ledgerName }
func (wanted) ID() string                         { return ledgerName }
func (wanted) Read(context.Context) (List, error) { return List{FromLedger: true}, nil }

// Reader returns the source of what r gives, such as standard input. It is read once, by the
// first call.
func Reader(name string, r io.Reader, o numbers.Options) Source {
	return reader{name, sync.OnceValues(func() (List, error) {
		list, err := readNumbers(r, o)
		return whole(name, list, err)
	})}
}

type reader struct {
	name string
	read func() (List, error)
}

func (r reader) Name() string                       { return r.name }
func (r reader) ID() string                         { return idOf("reader", r.name) }
func (r reader) Read(context.Context) (List, error) { return r.read() }

func idOf(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + " " + name))
	return user.Letters(sum[:8])
}

func readNumbers(r io.Reader, o numbers.Options) (List, error) {
	o.MaxRecords = MaxUsers
	list, err := numbers.Read(r, o)
	if errors.Is(err, numbers.ErrTooMany) {
		err = fmt.Errorf("more than %d users, and a blocklist holds 64000: is it the right list?", MaxUsers)
	}
	return List{Users: list.Users, Rejected: list.Rejected, Column: list.Column}, err
}

// whole returns a list that was read without an error, and nothing of one that was not: a list
// that is empty or breaks off doesn't mean that no user should be blocked.
func whole(name string, list List, err error) (List, error) {
	if err != nil {
		return List{Rejected: list.Rejected}, fmt.Errorf("%w: %s: %w", ErrUnusable, name, err)
	}
	return list, nil
}
