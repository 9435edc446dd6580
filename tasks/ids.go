package tasks

import (
	"crypto/rand"

	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// newJobID returns 96 random bits.
func newJobID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return user.Letters(b[:])
}

// CheckJobID reports what is wrong with a job ID: it has 1 to 64 letters, digits, dots,
// dashes and underscores, and holds no phone number, since everybody who may look at the
// queues sees it.
func CheckJobID(id string) error { return queues.CheckJobID(id) }
