// Package tasks is how requests come in and where failed ones end: the tasks that lie in
// asynq's queues, the producer that other services import, and the dead-letter queue.
//
// A request to block or unblock users becomes a job: a version that orders it among all
// requests for one phone number ID, and tasks of at most 1,000 users each. When
// [Producer.Block] returns, the request is in Redis, and will be carried out or end among the
// dead letters. To repeat it with its job ID is safe, whatever became of the first attempt.
//
//	p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: "106540352242922"})
//	job, err := p.Block(ctx, []string{"+1 650 555 1234"})
//	status, err := p.Job(ctx, job.ID)
//
// What each user's request has come to is in the package ledger below, which decides; asynq's
// tasks say what was asked for, wake the workers, and show operators how it goes.
//
// Phone numbers stand in clear in the payloads of tasks, in the ledger and in the index of the
// dead letters, and nowhere else: no task ID, error or log line of this package holds one.
package tasks
