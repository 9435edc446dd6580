// Package protect keeps the users who must never be blocked: for one phone number ID, or for all. Requests are
// checked when they are accepted, and users again before each call, so a user who was protected while the
// request waited is not called for either. Unblocking is allowed. Numbers stand in clear in these lists, as in the ledger.
package protect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Max bounds the users of one list.
const Max = 100_000

// MaxReason bounds a reason, in characters.
const MaxReason = ledger.MaxReason

// ErrFull is returned, wrapped, when a list would get longer than Max; nothing was added.
var ErrFull = errors.New("the list of protected users is full")

// Entry is one protected user.
type Entry struct {
	User          user.ID
	PhoneNumberID string // "" for all
	Reason        string
	By            string
	Since         time.Time
}

// stored is the form of an Entry in Redis.
type stored struct {
	User   string    `json:"user"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
}

func listKey(phoneNumberID string) string {
	return "wablock:{" + cmp.Or(phoneNumberID, "all") + "}:protected"
}

// formsOf returns the forms of each user: as dialled, and under the names by which its person is known on a phone number ID.
func formsOf(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID) ([][]string, error) {
	forms := make([][]string, len(users))
	for i, u := range users {
		forms[i] = []string{user.Fold(u.Reveal())}
	}
	if phoneNumberID == "" {
		return forms, nil
	}
	l := ledger.New(rdb, phoneNumberID)
	entries, err := l.Entries(ctx, users)
	if err != nil {
		return nil, err
	}
	known, err := l.NamesOf(ctx, users)
	if err != nil {
		return nil, err
	}
	for i, names := range known {
		for _, name := range names {
			if name != users[i] {
				forms[i] = append(forms[i], user.Fold(name.Reveal()))
			}
		}
	}
	for i, e := range entries {
		if e.WaID != "" {
			forms[i] = append(forms[i], user.Fold("+"+e.WaID))
		}
	}
	return forms, nil
}

// Add protects users on a phone number ID, or on all (""); who is protected already gets the new reason.
func Add(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID, reason, by string) error {
	key := listKey(phoneNumberID)
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("protect: add: %w", err)
	}
	n, err := rdb.HLen(ctx, key).Result()
	if err != nil {
		return fmt.Errorf("protect: add: %w", err)
	}
	if int(n)+len(users) > Max {
		return fmt.Errorf("protect: add: %w: it has %d and takes %d", ErrFull, n, Max)
	}
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		forms, err := formsOf(ctx, rdb, phoneNumberID, chunk)
		if err != nil {
			return fmt.Errorf("protect: add: %w", err)
		}
		var fields []any
		for i, u := range chunk {
			text, err := json.Marshal(stored{u.Reveal(), reason, by, now.UTC()})
			if err != nil {
				return fmt.Errorf("protect: add: %w", err)
			}
			for _, form := range forms[i] {
				fields = append(fields, form, text)
			}
		}
		if err := rdb.HSet(ctx, key, fields...).Err(); err != nil {
			return fmt.Errorf("protect: add: %w", err)
		}
	}
	return nil
}

// Remove takes users out of the list of a phone number ID, or of all (""), and returns how many were there.
func Remove(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID) (removed int, err error) {
	key := listKey(phoneNumberID)
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		forms, err := formsOf(ctx, rdb, phoneNumberID, chunk)
		if err != nil {
			return removed, fmt.Errorf("protect: remove: %w", err)
		}
		pipe := rdb.Pipeline()
		var deleted []*redis.IntCmd
		for i := range chunk {
			deleted = append(deleted, pipe.HDel(ctx, key, forms[i]...))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return removed, fmt.Errorf("protect: remove: %w", err)
		}
		for _, d := range deleted {
			removed += min(1, int(d.Val()))
		}
	}
	return removed, nil
}

// List returns the users of the list of a phone number ID, or of all (""), by number.
func List(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) ([]Entry, error) {
	texts, err := rdb.HGetAll(ctx, listKey(phoneNumberID)).Result()
	if err != nil {
		return nil, fmt.Errorf("protect: list: %w", err)
	}
	seen := map[user.ID]bool{}
	var all []Entry
	for form, text := range texts {
		e, ok := parse(form, text)
		if !ok || seen[e.User] {
			continue
		}
		e.PhoneNumberID, seen[e.User] = phoneNumberID, true
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Entry) int { return user.Compare(a.User, b.User) })
	return all, nil
}

// parse reads an entry; one that can't be read protects its form all the same.
func parse(form, text string) (Entry, bool) {
	var s stored
	if json.Unmarshal([]byte(text), &s) != nil || s.User == "" {
		s = stored{User: form, Reason: "unknown: the entry can't be read"}
	}
	id, err := user.FromCanonical(s.User)
	return Entry{User: id, Reason: s.Reason, By: s.By, Since: s.Since}, err == nil
}

// Check returns the protected ones among users, under any of their names, on a phone number ID.
func Check(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID) (map[user.ID]Entry, error) {
	pipe := rdb.Pipeline()
	own, all := pipe.Exists(ctx, listKey(phoneNumberID)), pipe.Exists(ctx, listKey(""))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("protect: check: %w", err)
	}
	if own.Val()+all.Val() == 0 {
		return nil, nil
	}
	found := map[user.ID]Entry{}
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		if err := check(ctx, rdb, phoneNumberID, chunk, found); err != nil {
			return nil, fmt.Errorf("protect: check: %w", err)
		}
	}
	return found, nil
}

func check(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID, found map[user.ID]Entry) error {
	forms, err := formsOf(ctx, rdb, phoneNumberID, users)
	if err != nil {
		return err
	}
	var fields []string
	var whose []user.ID
	for i, u := range users {
		for _, form := range forms[i] {
			fields, whose = append(fields, form), append(whose, u)
		}
	}
	pipe := rdb.Pipeline()
	lists := []string{"", phoneNumberID} // where a user is on both, the phone number ID's own says why
	asked := make([]*redis.SliceCmd, len(lists))
	for i, id := range lists {
		asked[i] = pipe.HMGet(ctx, listKey(id), fields...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, cmd := range asked {
		for k, v := range cmd.Val() {
			text, ok := v.(string)
			if !ok {
				continue
			}
			e, _ := parse(fields[k], text)
			e.PhoneNumberID = lists[i]
			found[whose[k]] = e
		}
	}
	return nil
}

// Why returns the text of a rejection, without the number.
func (e Entry) Why() string {
	where := "on all phone number IDs"
	remove := "`wablock protect remove --all`"
	if e.PhoneNumberID != "" {
		where, remove = "on phone number ID "+e.PhoneNumberID, "`wablock protect remove`"
	}
	return fmt.Sprintf("protected %s: %s; %s lifts it", where, cmp.Or(user.Scrub(e.Reason), "no reason was given"), remove)
}
