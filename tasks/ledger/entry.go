package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Entry holds the record of one user.
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
	// Job holds what the record has of its job; Part is 0.
	Job JobRef
	// BlockEnded says that the request is the end of a timed block, at the version behind the block's.
	BlockEnded bool
	// Base is the operation that had succeeded last before this request, "" when none is known.
	Base Operation
}

// Forgettable reports whether the entry says no more than no entry would: that the user was
// unblocked, and before t. Only the time that t lies back protects it from a task older than
// itself, which without the entry would be carried out: leave more than any task can wait.
func (e Entry) Forgettable(t time.Time) bool {
	return e.State == Succeeded && e.Operation == Unblock && !e.Busy && e.SettledAt.Before(t)
}

// Entries returns what the ledger holds of each user, in the order given, without changing
// anything. Of a user that is known under several names it is that of the person, whatever the name; see [Ledger.Join]. It takes at most MaxBatch users. A record that cannot be read counts as none, as
// it does for every other method.
func (l *Ledger) Entries(ctx context.Context, users []user.ID) ([]Entry, error) {
	if len(users) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(users)); err != nil {
		return nil, fmt.Errorf("ledger: entries: %w", err)
	}
	fields := make([]string, len(users))
	for i, u := range users {
		fields[i] = u.Reveal()
	}
	lines, err := l.rdb.HMGet(ctx, l.keys[keyUsers], fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: entries: %w", err)
	}
	if err := l.readMoved(ctx, fields, lines); err != nil {
		return nil, fmt.Errorf("ledger: entries: %w", err)
	}
	entries := make([]Entry, len(users))
	for i, line := range lines {
		entries[i].User = users[i]
		if text, ok := line.(string); ok {
			entries[i] = parseEntry(users[i], text)
		}
	}
	return entries, nil
}

// readMoved sets those of lines that are missing to the records of the users' persons, as lua/persons.lua does.
func (l *Ledger) readMoved(ctx context.Context, users []string, lines []any) error {
	var missing []string
	var at []int
	for i, line := range lines {
		if line == nil {
			missing, at = append(missing, users[i]), append(at, i)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	known, err := l.rdb.HMGet(ctx, l.personsKey, missing...).Result()
	if err != nil {
		return err
	}
	var moved []string
	var places []int
	for j, k := range known {
		if name, ok := k.(string); ok {
			moved, places = append(moved, name), append(places, at[j])
		}
	}
	if len(moved) == 0 {
		return nil
	}
	found, err := l.rdb.HMGet(ctx, l.keys[keyUsers], moved...).Result()
	if err != nil {
		return err
	}
	for j, line := range found {
		lines[places[j]] = line
	}
	return nil
}

// record is the form of one, as lua/record.lua describes it and reads it.
var record = regexp.MustCompile(`^([bu]) ([a-z]) ([ibr]) (\d+) (\d+) (\S+) (\S+) (\d+) (\d+)( \d+(?: .*)?)?$`)

// parseEntry reads a record. One that is not of the form gives an Unknown entry.
func parseEntry(id user.ID, text string) Entry {
	line, failure, failed := strings.Cut(text, "\n")
	w := record.FindStringSubmatch(line)
	if w == nil || w[10] == "" && !strings.Contains("wfsdx", w[2]) { // a newer format may have states of its own
		return Entry{User: id}
	}
	e := Entry{User: id, Operation: operationOf(w[1]), State: State(w[2][0]), Queue: queueOf(w[3]), Busy: w[6] != "-"}
	if w[7] != "-" {
		e.WaID = w[7]
	}
	var errs [4]error
	var version int64
	e.Attempts, errs[0] = strconv.Atoi(w[4])
	version, errs[1] = strconv.ParseInt(w[5], 10, 64)
	e.SettledAt, errs[2] = milliTime(w[8])
	e.FirstFailedAt, errs[3] = milliTime(w[9])
	if errors.Join(errs[:]...) != nil {
		return Entry{User: id}
	}
	e.Version = Version(version)
	e.readWords(w[10])
	if failed {
		e.Failure = new(Failure)
		if json.Unmarshal([]byte(failure), e.Failure) != nil {
			e.Failure = nil
		}
	}
	return e
}

// readWords reads what format 2 says of the record's request.
func (e *Entry) readWords(more string) {
	w := strings.Fields(more)
	if len(w) < 3 || w[0] != "2" || w[1] != strconv.FormatInt(int64(e.Version), 10) {
		return
	}
	var digest string
	digest, e.BlockEnded = strings.CutPrefix(w[2], "*")
	e.Job.Counted = !e.BlockEnded
	if IsDigest(digest) {
		e.Job.Text = digest
	}
	if len(w) < 7 {
		return
	}
	e.Job.Ends, _ = strconv.ParseInt(w[3], 10, 64) // 0 for what can't be read
	if w[4] == "b" || w[4] == "u" {
		e.Base = operationOf(w[4])
	}
}
