package queues

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wablock/wablock/tasks/user"
)

const maxJobID = 255

// CheckJobID reports what is wrong with the ID of a job of these users: it has 1 to 255 printable
// characters, and holds the number of none of them, with or without what people put between its
// digits, since job IDs are shown in logs and on web pages. Other runs of digits are an event's.
func CheckJobID(id string, users ...user.ID) error {
	switch {
	case id == "":
		return errors.New("an empty job ID")
	case utf8.RuneCountInString(id) > maxJobID:
		return fmt.Errorf("a job ID of %d characters: it has at most %d", utf8.RuneCountInString(id), maxJobID)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("a job ID with a character that can't be printed")
	case NamesUser(id, users):
		return errors.New("a job ID that holds the number of one of its users: job IDs are shown in logs and on web pages")
	}
	return nil
}

// shortestNumber is the length of the shortest phone number. A shorter BSUID tells nothing.
const shortestNumber = 7

// NamesUser reports whether a text holds the number of one of the users, with or without what people put
// between its digits.
func NamesUser(text string, users []user.ID) bool {
	if len(text) < shortestNumber {
		return false
	}
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()/", r) {
			return -1
		}
		return r
	}, text)
	mayHold := longDigits(digits)
	for _, u := range users {
		if !mayHold && !u.IsBSUID() {
			continue
		}
		number := u.Reveal()
		number = number[strings.LastIndexAny(number, "+.")+1:]
		if len(number) >= shortestNumber && strings.Contains(digits, number) {
			return true
		}
	}
	return false
}

// longDigits reports whether a text has as many digits in a row as a phone number.
func longDigits(text string) bool {
	n := 0
	for _, r := range text {
		if n++; r < '0' || r > '9' {
			n = 0
		}
		if n == shortestNumber {
			return true
		}
	}
	return false
}
