// Package ledger keeps, per phone number ID, what is wanted for each user, what was done, and
// an index of what is wanted and not yet done. It is what makes the latest request win.
//
// Its life of one user:
//
//	Mark     a request of a newer version is written down; the user waits
//	Claim    a call takes the oldest that wait, each in flight under this claim alone
//	Settle   the claim's holder writes down what came of the call: succeeded, dead, or it
//	         waits again
//
// A claim that is not settled by its deadline is lost: its users wait again, and whoever held
// it can write nothing any more. A request that is marked while its user is in flight waits
// for the end of that call, so no user is ever in two calls at once (unless a stopped clock
// lets a call out after its deadline; a reconciliation finds that).
//
// All state is in Redis, under "wablock:{phone number ID}:", and changes in Lua scripts alone
// (lua/record.lua describes it). Nothing here knows the API or the queue's tasks.
package ledger
