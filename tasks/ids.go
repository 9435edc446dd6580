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

// CheckJobID reports what is wrong with the ID of a job of these users: it has 1 to 255 printable
// characters, and holds the number of none of them.
func CheckJobID(id string, users ...user.ID) error { return queues.CheckJobID(id, users...) }
