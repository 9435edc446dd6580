package numbers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// Options choose how a file is read. The zero value works.
type Options struct {
	// Column names the column of numbers: its header, however it is spaced and capitalised, or its
	// place, from "1". Empty: the most telling header, and without one the first column.
	Column string
	// Country reads numbers without a country code as national ones of this country. A column
	// named as one of country codes says so for its row.
	Country user.Country
	// MaxRecords bounds the numbers, duplicates and rejected records; zero is [MaxRecords].
	MaxRecords int
}

// List holds the numbers of a file.
type List struct {
	// Users are the numbers in the order of the file, each once: duplicates collapse.
	Users []user.ID
	// Rejected are the records that hold no number, in the order of the file.
	Rejected []Rejection
	// Given holds what stood there of those users where that differs from their canonical form.
	Given map[user.ID]string
	// Column names the column that was read; zero among arguments.
	Column Column
}

// Column names the column that numbers were read from, with the reason.
type Column struct {
	// Number counts from 1; 0 when nothing was read.
	Number int `json:"number"`
	// Name is its header, "" without one.
	Name string `json:"name,omitempty"`
	// Why completes "column 2 was read: ".
	Why string `json:"why"`
	// Country is the header of the column that the numbers' countries were read from, or "".
	Country string `json:"country,omitempty"`
	// Columns counts the columns of the first row. With one there is nothing to explain.
	Columns int `json:"columns"`
}

// String returns a sentence for people: which column was read, and why.
func (c Column) String() string {
	if c.Number == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "numbers are read from column %d", c.Number)
	if c.Name != "" {
		fmt.Fprintf(&b, ", %q", c.Name)
	}
	b.WriteString(": " + c.Why)
	if c.Country != "" {
		fmt.Fprintf(&b, "; their countries from column %q", c.Country)
	}
	return b.String()
}

// Rejection is one input that is not a number.
type Rejection struct {
	// Input holds what stood there, as it stood there, for the person who gave it; cut off when
	// it is very long. It is never for logs.
	Input string `json:"input"`
	// Line counts from 1: in a file by lines, among arguments by their place. Of a record of
	// several lines it is the first.
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// The errors over a file as a whole; Read wraps them with more. None holds a number of the file.
var (
	// ErrEmpty is returned, with the List of what was rejected, when there is no number.
	ErrEmpty = errors.New("no phone number in it")
	// ErrBinary is returned for a file that is not text.
	ErrBinary = errors.New("not a text file")
	// ErrTooMany is returned beyond [Options.MaxRecords].
	ErrTooMany = errors.New("too many records: split it")
	// ErrColumn is returned, with the names of the columns, when a file has several and nothing
	// says which of them holds the numbers, or when it lacks the one that was asked for.
	ErrColumn = errors.New("which column holds the numbers?")
)

// MaxRecords bounds the numbers, duplicates and rejected records that Read takes together, unless
// [Options.MaxRecords] does.
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
