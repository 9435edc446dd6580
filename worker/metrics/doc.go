// Package metrics is what a worker tells Prometheus: calls, ends of users, limits, lanes and
// queues.
//
// Nothing in it names a user. Labels are bounded: the phone number IDs that are configured and
// the first hundred others have series of their own, all further ones share the value "other". So
// do codes and outcomes after the first hundred.
//
// All methods of a nil [*Metrics] do nothing, so that callers need not ask whether there is one.
package metrics
