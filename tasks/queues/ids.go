package queues

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

const maxJobID = 64

// CheckJobID reports what is wrong with a job ID: it has 1 to 64 letters, digits, dots,
// dashes and underscores, and holds no phone number, since everybody who may look at the
// queues sees it.
func CheckJobID(id string) error {
	if id == "" {
		return errors.New("an empty job ID")
	}
	if len(id) > maxJobID {
		return fmt.Errorf("a job ID of %d characters: it has at most %d", len(id), maxJobID)
	}
	for i := range len(id) {
		if !isJobIDByte(id[i]) {
			return errors.New("a job ID has letters, digits, dots, dashes and underscores alone")
		}
	}
	if holdsPhoneNumber(id) {
		return errors.New("a job ID that holds a phone number: job IDs are shown in logs and on web pages")
	}
	return nil
}

func isJobIDByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
}

// shortestNumber is the length from which a run of digits is held to be a phone number; a
// date such as 20261122 is shorter.
const shortestNumber = 9

func holdsPhoneNumber(s string) bool {
	notDigit := func(r rune) bool { return r < '0' || r > '9' }
	for run := range strings.FieldsFuncSeq(s, notDigit) {
		if len(run) < shortestNumber {
			continue
		}
		if _, err := user.Parse(run); err == nil {
			return true
		}
	}
	return false
}
