// Package lane makes the calls of phone number IDs, one lane for each, and lets the handlers of
// tasks follow their users.
//
//	pool.go    opens and closes lanes, and wakes those that have work
//	lane.go    the loop of a lane: breaker, limiter, claim
//	claims.go  a claim's size, ID and deadline, and one whose reply never came
//	tokens.go  the limiter's tokens, and what it is told
//	serving.go phone number IDs without a token, which other workers may serve
//	call.go    one claim: calls, their verdicts, settling, dead letters
//	account.go tells a limit for the account from a phone number ID's own
//	unsettled.go what is left of a claim that takes several calls
//	follow.go  marks a task's users and waits for their ends
//	mark.go    joins the marks of many handlers
//	load.go    the estimate of how long users wait
//	protected.go, closed_window.go, uncalled.go  users that no call is made for
//	expiring.go lets blocks go first whose users can't be blocked for much longer
package lane
