// Package queues is the format of wablock's tasks in asynq's queues, for those who carry them
// out: names and types, the payload of a task, its result, and what asynq's own keys show of
// tasks that wait or lost their worker. Producers need the package tasks alone.
//
// Files: types.go (names, limits, options), payload.go (one chunk of a job), result.go, live.go
// (which tasks have not ended), orphans.go (which have lost their worker), redis.go (asynq's keys
// and errors).
//
//	p, err := queues.Decode(task.Type(), task.Payload())
//
// No error of this package holds anything of a payload, which names users in clear.
package queues
