// Package worker carries out block and unblock requests.
//
// It is asynq's side: servers and lifecycle (worker.go), the handler of all tasks (handler.go),
// the tasks and calls of workers that died (orphans.go, take_over.go), blocks that end (ends.go), dead
// letters that the ledger has and the queue has not (dead_letters.go), what a start looks for (start.go).
// The calls are made by worker/internal/lane, and
// what an API answer means is decided in worker/internal/verdict. docs/architecture.md has the way
// of one number, file by file.
//
// A task whose users have not all ended goes back to asynq, without a retry being counted.
//
// Nothing is kept in memory alone: a worker that dies leaves claims that expire and tasks that
// asynq hands to another one.
package worker
