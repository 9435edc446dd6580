package numbers

import (
	"errors"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// List is what a file of numbers holds.
type List struct {
	// Users are the numbers in the order of the file, each once: duplicates collapse.
	Users []user.ID
	// Rejected are the records that hold no number, in the order of the file.
	Rejected []Rejection
}

// Rejection is one input that is no number.
type Rejection struct {
	// Input is what stood there, as it stood there, for the person who gave it; cut off when
	// it is very long. It is never for logs.
	Input string `json:"input"`
	// Line counts from 1: in a file by lines, among arguments by their place. Of a record of
	// several lines it is the first.
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// The errors over a file as a whole; Read wraps them with more. None holds anything of the
// file.
var (
	// ErrEmpty is returned, with the List of what was rejected, when there is no number.
	ErrEmpty = errors.New("no phone number in it")
	// ErrBinary is returned for what is no text.
	ErrBinary = errors.New("not a text file")
	// ErrTooMany is returned beyond MaxRecords.
	ErrTooMany = errors.New("too many records: split it")
)

// MaxRecords is how many numbers, duplicates and rejected records together Read takes.
const MaxRecords = 5_000_000

// The bounds of what is kept of one record.
const (
	maxLine  = 64 << 10 // bytes; longer ones are rejected
	maxInput = 200      // bytes of Rejection.Input
	maxLines = 50       // lines of one record, by quotes around line feeds
)

// input returns s for a Rejection, in memory of its own.
func input(s string) string {
	if len(s) <= maxInput {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:maxInput], "") + "…"
}
