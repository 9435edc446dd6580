package deadletter

import (
	"context"
	"errors"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
)

// ErrProtected is wrapped by the errors over a letter of a user who must not be blocked. The letter stays.
var ErrProtected = errors.New("the user is protected, and is not blocked")

// partProtected parts the letters of a group by whether they would block a user who is protected, and returns why
// each of those is.
func partProtected(ctx context.Context, d *Queue, g group, letters []Letter) (others, protected []Letter, why map[user.ID]protect.Entry, err error) {
	if g.operation != ledger.Block || len(letters) == 0 {
		return letters, nil, nil, nil
	}
	users := make([]user.ID, len(letters))
	for i, e := range letters {
		users[i] = e.User
	}
	if why, err = protect.Check(ctx, d.rdb, g.phoneNumberID, users); err != nil || len(why) == 0 {
		return letters, nil, nil, err
	}
	for _, e := range letters {
		if _, found := why[e.User]; found {
			protected = append(protected, e)
		} else {
			others = append(others, e)
		}
	}
	return others, protected, why, nil
}

// CheckRedrive returns why redriving the letter of a task ID would leave it where it is, nil when it would not. The
// error wraps ErrProtected, or is that of Redis.
func CheckRedrive(ctx context.Context, d *Queue, id string) error {
	for e, err := range d.All(ctx, Filter{IDs: []string{id}, Kind: UsersOnly}) {
		if err != nil {
			return err
		}
		if err := checkProtected(ctx, d, e); err != nil {
			return err
		}
	}
	return nil
}

// checkProtected returns why the user of a letter may not be blocked, nil for one who may.
func checkProtected(ctx context.Context, d *Queue, e Letter) error {
	_, protected, why, err := partProtected(ctx, d, group{e.PhoneNumberID, e.Operation}, []Letter{e})
	if err != nil || len(protected) == 0 {
		return err
	}
	return protectedError{why[e.User]}
}

// protectedError says why, and what lifts it.
type protectedError struct{ entry protect.Entry }

func (e protectedError) Error() string { return e.entry.Why() }

func (protectedError) Unwrap() error { return ErrProtected }
