// Package quota models how an API counts calls: the hidden limits that the simulated Block
// Users API enforces, and that a rate-limit benchmark can run against on simulated time.
//
// Meta publishes no limit for block_users, so several shapes are on offer: a token bucket, a
// fixed window that counts calls or users, a cap on the users of one call, and a lock-out that
// punishes those who go on calling. They combine:
//
//	q := quota.NewLockout(quota.WithUsersCap(quota.NewTokenBucket(30, 5), 500), 2*time.Second, time.Second)
//
// All arithmetic takes the time as an argument; nothing here reads a clock, waits or locks. A
// quota is not safe for concurrent use: its owner holds a lock.
package quota
