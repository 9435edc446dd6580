package lane

import (
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
)

// protectedFailures returns why users that were found protected are not blocked.
func protectedFailures(found map[user.ID]protect.Entry, now time.Time) map[user.ID]*ledger.Failure {
	failures := make(map[user.ID]*ledger.Failure, len(found))
	for id, e := range found {
		failures[id] = &ledger.Failure{Message: "protected user", Details: e.Why(), At: now.UnixMilli()}
	}
	return failures
}
