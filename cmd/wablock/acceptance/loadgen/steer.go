package main

import "time"

// steering is the part of a note about an attempt to cancel or undo its job: at its beginning Began alone.
type steering struct {
	Undo  bool      `json:"undo,omitempty"`
	Began time.Time `json:"began,omitzero"`
	// Of the end: whether it was answered, or the job had ended, so that nothing was done.
	Answered bool `json:"answered,omitempty"`
	Nothing  bool `json:"nothing,omitempty"`
	Canceled int  `json:"canceled,omitempty"`
	Reversed int  `json:"reversed,omitempty"`
}
