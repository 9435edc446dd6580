// Package reconcile makes a blocklist be what it should be, and never by accident less.
//
// A run compares what is desired (a file, a URL, or what was last asked for by the ledger)
// with what the API lists, and enqueues the difference. Blocking somebody twice does no harm;
// an unblock cannot be taken back once the user has been silent for 24 hours. So everything
// that is in doubt is decided against the unblock:
//
//	plan.go      what is to be done: pure, from desired, actual and ledger to a Plan
//	identity.go  who on the list is whom on the desired list; the doubtful are reported
//	guard.go     what stops all unblocks of a plan until somebody approves it by its hash
//	listing.go   a listing that is proven: to its end, on a list that did not change
//	source*.go   where the desired list comes from, and what makes it unfit
//	run.go       one run: lease, version, source, listing, ledger, plan; then apply.go
//	slots.go     which slots of a schedule are due; scheduler.go enqueues each of them once
//	keep.go      housekeeping of the ledger
//	history.go   what the last runs did
//
// # Why a request that comes in meanwhile wins
//
// A run takes a version before it lists: the base. What the ledger has of a user with a newer
// version, or settled since, is left alone, and so is whoever waits, is in flight, or is named
// by a task that no worker has looked at yet. What is decided is enqueued under a version of
// the past: just above the record that the decision was based on, or an hour before the base,
// whichever is later, and never above the base. So every request accepted since the base wins
// in the ledger, whenever its mark arrives, by the rule that holds for all requests.
//
// The package imports nothing of the queue's server: package worker hands it tasks.
package reconcile
