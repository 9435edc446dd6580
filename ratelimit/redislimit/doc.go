// Package redislimit shares one learnt limit among all workers through Redis.
//
// Each phone number ID P has one hash, wablock:{P}:limit, and each account A one, wablock:{account:A}:limit: the state of
// package ratelimit's law, and the bucket. A Take is one script on Redis's clock (two in one round trip when the account
// is known). A report that matters, a limit error or a step of growth, loads the state, applies the law in Go and
// stores the result unless another process was faster; every other report is only counted, and the count rides on the next Take.
//
// The state lives for 30 days after its last use, so a restart goes on with what was learnt. When Redis cannot be reached,
// Take returns an error and no call goes.
package redislimit
