// Package model_test is the ledger's protocol made small enough to be walked in full: two workers,
// one user, three requests, and a crash, a lost reply or a passed deadline at every step that
// can have one. [Check] visits each state that any order of these steps leads to, and reports
// the first that breaks a promise with the shortest way there.
//
// One test checks the protocol, one checks that the check
// rejects each broken variant of [Faulty], and one replays random walks of the model on the
// real scripts, on miniredis and on a real Redis, and compares each step: so the model cannot
// drift from what it stands for.
//
// # What stands for what
//
//	model                      ledger
//	State.Version, Status      words version and state of the user's record
//	State.Claim                word claim; Orphan is a claim whose holder is gone
//	State.Place = Line         the user stands in the line of its operation (KEYS[3..8])
//	State.Place = Later, Due   it stands in KEYS[2], its time not yet come, or come
//	Mark                       lua/mark.lua; any version, at any time, again and again
//	Claim, Sweep               lua/claim.lua, with room for users and without
//	ClaimLost, ClaimAgain      the same, but the reply gets lost, and the worker repeats it
//	Renew                      lua/renew.lua
//	Settle*                    lua/settle.lua, by verdict
//	Step.Again                 the reply gets lost, so the worker repeats the step
//	Send, Apply, ReplyLost,    the HTTP call: it goes out, and ends with or without effect,
//	Refuse, Cut                heard of by its worker or not
//	Crash                      the worker dies; its call, if one is out, goes on without it,
//	LateEffect, LateEnd        and ends, with or without effect
//	Pass                       time passes, until what stands in KEYS[2] is due
//	TakeOver                   lua/take_over.lua; the worker is dead, or only taken for dead
//	State.Taken, KeepBack      what lua/claim.lua keeps a user back for whose claim was taken over
//	Outlast                    time passes, until the deadline of the claim that was taken over
//
// # What is taken for granted
//
// A claim's deadline outlasts its call, and no call begins after the deadline: Pass does not
// come while the call is out, and Send not after Pass; so with Outlast for a claim that was taken over. The worker sees to both; a machine that
// was stopped in between cannot, which is the broken variant LateCall and, with a failover or a
// clock that is set forward, the way in which a user can get into two calls of different operations at once. Protocol.Unruly
// does without both: then the list is right once each worker has told what its call did. A call that has ended (cut by its timeout, for
// example) has no effect afterwards: the API gives no means to be sure of more.
package model_test
