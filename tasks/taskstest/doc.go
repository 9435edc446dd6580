// Package taskstest is a fake of [tasks.Producer] for the tests of services that block and unblock users. It takes requests
// as the real one does, with the same checks, job IDs, rejections and protected users, and keeps them in memory: no
// Redis, no worker, no call. A test looks at what was asked for ([Producer.Requests]), and says what becomes of it
// ([Producer.Succeed], [Producer.DeadLetter]); what it leaves alone stays pending.
//
// A service declares the methods that it uses as an interface of its own, which both producers have.
//
// It is simpler than the real one in this: a job ID is known for as long as the fake is; a job that is put off has not gone
// out until the test settles it; a call is never in flight; canceling brings back no request that was superseded; and
// each event of Heard asks again at once, in a job of its own, and knows a user by the names of the request alone.
package taskstest
