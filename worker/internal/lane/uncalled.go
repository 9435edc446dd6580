package lane

import (
	"errors"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// errNotCalled is the error of users that are dead-lettered without a call.
var errNotCalled = errors.New("no call was made")

// uncalledAmong parts users by whether they have a failure without a call, and returns the verdict on those that do.
func uncalledAmong(users []ledger.Claimed, failures map[user.ID]*ledger.Failure) (dead, others []ledger.Claimed, v verdict.Verdict) {
	v.Err = errNotCalled
	for _, u := range users {
		f, fails := failures[u.User]
		if !fails {
			others = append(others, u)
			continue
		}
		dead = append(dead, u)
		v.Settlements = append(v.Settlements, ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Kill, Failure: f})
	}
	return dead, others, v
}
