// Package tasks is how requests come in: the producer that other services import, and its jobs.
// The tasks that it puts into asynq's queues are those of package queues; requests that fail for
// good end in the queue of package deadletter.
//
// A request to block or unblock users becomes a job: a version that orders it among all
// requests for one phone number ID, and tasks of at most 1,000 users each. When
// [Producer.Block] returns, the request is in Redis, and will be carried out or end among the
// dead letters.
//
//	// rdb is a redis.UniversalClient of go-redis v9, on the database that the workers use.
//	p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: "106540352242922"})
//	job, err := p.Block(ctx, []string{"+1 650 555 1234"}, tasks.WithJobID("spam-report-42"))
//	status, err := p.Job(ctx, job.ID)
//
// After an error, or when the process died, ask again with the same job ID: that is the same
// job, whatever became of the first attempt, until its retention has passed ([WithRetention]; an
// hour after its end by default). From then on it is a new request, which wins over what was
// asked for in between. An [EnqueueError] has the ID that was chosen where none was named. Give
// ctx a deadline; the Redis client's own bound single commands.
//
// Inputs are phone numbers with their country code, or business-scoped user IDs; what names
// no user is in [Job].Rejected and does not stop the rest. The latest request for a user wins,
// in the order in which Block and Unblock were called, over all producers. Unblocking a user
// can't be taken back once that user has been silent for 24 hours.
//
// What each user's request has come to is in the package ledger below, which decides; asynq's
// tasks say what was asked for, wake the workers, and show operators how it goes.
//
// A service that asks for one user at a time, many times a second, puts a [Batcher] in front of the producer: requests
// that come within some milliseconds of each other become one job. Each caller has an answer of its own.
//
// Package taskstest has a fake of the producer, for the tests of services that use it.
//
// Phone numbers stand in clear in the payloads of tasks, in the ledger and in the index of the
// dead letters, and nowhere else: no task ID, error or log line of this package holds one.
package tasks
