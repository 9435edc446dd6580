// Package reconcile makes blocklists match what is desired, and unblocks no user by mistake.
//
// A run compares what is desired (a file, a URL, or what was last requested according to the
// ledger) with what the API lists, and enqueues the difference. Blocking a user twice does no
// harm; an unblock can't be taken back once the user has been silent for 24 hours. So doubt is
// always decided against the unblock:
//
//	plan          what to do: pure, from desired, actual and ledger to a Plan, and its guards
//	listing       a blocklist that is proven to be whole
//	source        where the desired list comes from, and what makes it unusable
//	runner.go     runs and housekeeping of phone number IDs
//	run.go        one run: lease, version, source, listing, ledger, plan
//	apply.go      enqueues a plan
//	keep.go       housekeeping of the ledger
//	scheduler.go  enqueues each slot of a schedule once; task.go is its task
//	record.go     what is remembered of a run; store.go keeps it in Redis
//	lease.go      one run at a time
//
// # Why a request that comes in meanwhile wins
//
// A run takes a version before it lists: the base. Users with a newer version in the ledger, or
// settled since, are left alone, and so are users who wait, are in flight, or are named by a
// task that no worker has started yet. What is decided is enqueued under a version of the past:
// just above the record that the decision was based on, or an hour before the base, whichever
// is later, and never above the base. So every request accepted since the base wins in the
// ledger, whenever its mark arrives, by the rule that holds for all requests.
//
// The package imports nothing of the queue's server: package worker hands it tasks.
package reconcile
