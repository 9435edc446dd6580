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
// A claim that is not settled by its deadline is lost: its users wait again, and its holder can
// write no outcome any more; where its call may have undone a newer request, Settle makes that
// request wait for one more call. A request that is marked while its user is in flight waits
// for the end of that call, so no user is ever in two calls at once.
//
// For a reconciliation, Freeze keeps all workers from claiming for a while, as if no call had room,
// and Adopt writes down users that another program has blocked, where nothing is under way.
//
// # What the caller must see to
//
// A call ends before its claim's deadline: Timeout is longer than what may pass until the call
// goes out, and its timeout, together; a worker that finds itself late sends nothing. (A
// machine that was stopped in between can't tell, and may let an old call through; nor can
// a call be recalled that was cut by its timeout. See Effect in [Settlement].)
//
// Settle may answer Unknown, for a lost claim: what became of the user is then for Mark to
// tell. Any method may be repeated when its reply got lost, Claim under the same ID; users
// that a lost reply of Claim named are in flight until that claim's deadline.
//
// # Redis
//
// The state of users is under "wablock:{phone number ID}:", in one slot of a cluster, and records change in Lua
// scripts alone (lua/record.lua describes them). The set of users who may have a dead letter is written by the
// dead-letter queue too. No record expires: settled ones are what tells
// a repeated task that it has nothing to do; Scan and Forget drop old ones. A record that
// cannot be read counts as none, and spoils no other user's call. A Redis that is out of memory
// refuses marks and versions, and lets what waits be claimed and settled.
//
// The package model walks through the protocol in full. Nothing here knows the API or the
// queue's tasks.
package ledger
