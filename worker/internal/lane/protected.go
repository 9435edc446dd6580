package lane

import (
	"errors"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// errProtected is the error of users that no call is made for.
var errProtected = errors.New("protected user")

// protectedAmong parts users by whether they were found protected, and returns the verdict on those that were.
func protectedAmong(users []ledger.Claimed, found map[user.ID]protect.Entry, now time.Time) (dead, others []ledger.Claimed, v verdict.Verdict) {
	v.Err = errProtected
	for _, u := range users {
		e, protected := found[u.User]
		if !protected {
			others = append(others, u)
			continue
		}
		dead = append(dead, u)
		v.Settlements = append(v.Settlements, ledger.Settlement{
			User: u.User, Version: u.Version, Do: ledger.Kill,
			Failure: &ledger.Failure{Message: "protected user", Details: e.Why(), At: now.UnixMilli()},
		})
	}
	return dead, others, v
}
