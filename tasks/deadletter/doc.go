// Package deadletter is the queue of what failed for good: users whose requests the API refuses,
// and tasks that can't be read. Nothing leaves it by age or count.
//
// Files: letter.go (a letter and its JSON), ids.go (the task IDs of letters), store.go (asynq's side
// of the queue), queue.go (put, remove, list, discard, and Sync, which makes the queue fit the
// ledger), filter.go, redrive.go (asking again, by command or by the web UI).
//
//	report, err := deadletter.Redrive(ctx, queue, producer, deadletter.Filter{Codes: []int{131047}}, deadletter.RedriveOptions{})
//
// It never decides that a user has failed: the ledger does, and is written first.
package deadletter
