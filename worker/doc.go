// Package worker carries out block and unblock requests.
//
// The way of one number, file by file:
//
//	handler.go  asynq hands over a task; the handler marks its users in the ledger (look.go),
//	            wakes their lane and waits a little for their ends (watch.go)
//	lane.go     one lane per phone number ID takes a token from the limiter and claims up to a
//	            call's worth of users, of whatever tasks
//	call.go     the call goes out; judge.go turns its answer into one verdict per user; the
//	            ledger settles them, the dead go into the dead-letter queue
//	split.go    a call that fails as a whole is made again in halves
//	gate.go     what is refused or down as a whole closes the lane until a probe gets through
//	deferral.go a task whose users have not all ended goes back to asynq, without a retry
//	            being counted
//
// Nothing is kept in memory alone: a worker that dies leaves claims that expire and tasks that
// asynq hands to another one.
package worker
