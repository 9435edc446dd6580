// Package lane makes the calls of phone number IDs, one lane for each, and lets the handlers of
// tasks follow their users.
//
//	pool.go  opens and closes lanes; Follow marks a task's users and waits for their ends
//	mark.go  joins the marks of many handlers
//	lane.go  the loop of a lane: breaker, limiter, claim
//	load.go  the estimate of how long users wait
//	call.go  one claim: calls, their verdicts, settling, dead letters
package lane
