// Package metrics is what a worker tells Prometheus: calls, ends of users, limits, lanes and
// queues.
//
// Nothing in it names a user. Labels are bounded: the first hundred phone number IDs have series
// of their own, all others share the value "other", and so do codes and outcomes.
//
// All methods of a nil [*Metrics] do nothing, so that callers need not ask whether there is one.
package metrics
