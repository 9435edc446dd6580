// Package worker carries out block and unblock requests.
//
// It is asynq's side: servers and lifecycle (worker.go), the handler of all tasks (handler.go),
// the tasks of workers that died (orphans.go). The calls are made by worker/internal/lane, and
// what an API answer means is decided in worker/internal/verdict.
//
// The way of one number, file by file:
//
//	handler.go                    asynq hands over a task
//	internal/lane/pool.go         its users are marked in the ledger, their lane is woken, and
//	                              the handler waits a little for their ends
//	internal/lane/lane.go         the lane asks breaker and limiter, and claims up to a call's
//	                              worth of users, of whatever tasks
//	internal/lane/call.go         the call goes out
//	internal/verdict/verdict.go   its answer is read once
//	internal/verdict/breaker.go   what it shows about the API closes or opens the lane
//
// and back in call.go the ledger settles the users and the dead go into the dead-letter queue. A
// task whose users have not all ended goes back to asynq, without a retry being counted.
//
// Nothing is kept in memory alone: a worker that dies leaves claims that expire and tasks that
// asynq hands to another one.
package worker
