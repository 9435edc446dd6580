// Package app wires wablock from its configuration: API clients, the shared rate limit, the
// schedules of reconciliation, and the worker with its pages. It parses no command line, prints
// nothing and chooses no exit code.
//
//   - app.go: a worker with everything that it runs beside it
//   - numbers.go: how each phone number ID is served
//   - api.go: one API client, and advice on its errors
//   - redis.go: a Redis that answers
//   - roster.go: this worker among those that run
package app
