package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Entry is what the ledger holds of one user.
type Entry struct {
	User      user.ID
	Operation Operation
	// State is Unknown for a user that was never asked for; then nothing else is set.
	State    State
	Queue    Queue
	Version  Version
	Attempts int
	// Busy says that a call holds the user, perhaps for an older version.
	Busy bool
	// WaID is the WhatsApp ID that the API told last, "" if it never did.
	WaID          string
	SettledAt     time.Time // zero for not yet
	FirstFailedAt time.Time // zero for never
	// Failure is the last failure at this version, nil for none.
	Failure *Failure
}

// Entries returns what the ledger holds of each user, in the order given, without changing
// anything. It takes at most MaxBatch users.
func (l *Ledger) Entries(ctx context.Context, users []user.ID) ([]Entry, error) {
	if len(users) == 0 {
		return nil, nil
	}
	if len(users) > MaxBatch {
		return nil, fmt.Errorf("ledger: entries: %d users, at most %d go at once", len(users), MaxBatch)
	}
	fields := make([]string, len(users))
	for i, u := range users {
		fields[i] = u.Reveal()
	}
	lines, err := l.rdb.HMGet(ctx, l.keys[0], fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: entries: %w", err)
	}
	entries := make([]Entry, len(users))
	for i, line := range lines {
		entries[i].User = users[i]
		if text, ok := line.(string); ok {
			if entries[i], err = parseEntry(users[i], text); err != nil {
				return nil, fmt.Errorf("ledger: entries: %w", err)
			}
		}
	}
	return entries, nil
}

// parseEntry reads a record; lua/record.lua describes its form.
func parseEntry(id user.ID, text string) (Entry, error) {
	line, failure, failed := strings.Cut(text, "\n")
	w := strings.Fields(line)
	if len(w) != 9 || len(w[1]) != 1 {
		return Entry{}, fmt.Errorf("%w: a record that has not nine words", ErrReply)
	}
	e := Entry{User: id, Operation: operationOf(w[0]), State: State(w[1][0]), Queue: queueOf(w[2]), Busy: w[5] != "-"}
	if w[6] != "-" {
		e.WaID = w[6]
	}
	var err error
	if e.Attempts, err = strconv.Atoi(w[3]); err != nil {
		return Entry{}, ErrReply
	}
	v, err := strconv.ParseInt(w[4], 10, 64)
	if err != nil {
		return Entry{}, ErrReply
	}
	e.Version = Version(v)
	if e.SettledAt, err = milliTime(w[7]); err != nil {
		return Entry{}, err
	}
	if e.FirstFailedAt, err = milliTime(w[8]); err != nil {
		return Entry{}, err
	}
	if failed {
		e.Failure = new(Failure)
		if err := json.Unmarshal([]byte(failure), e.Failure); err != nil {
			return Entry{}, fmt.Errorf("%w: a failure that is no JSON", ErrReply)
		}
	}
	return e, nil
}
