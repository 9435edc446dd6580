package numbers

import "github.com/wablock/wablock/tasks/user"

// List is what a file of numbers holds.
type List struct {
	// Users are the numbers in the order of the file, each once: duplicates collapse.
	Users []user.ID
	// Rejected are the lines that hold no number, in the order of the file.
	Rejected []Rejection
}

// Rejection is one input that is no number.
type Rejection struct {
	// Input is what stood there, as it stood there, for the person who gave it; cut off when
	// it is very long. It is never for logs.
	Input string `json:"input"`
	// Line counts from 1: in a file by lines, among arguments by their place.
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}
