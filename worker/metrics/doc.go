// Package metrics exports a worker's counters to Prometheus: calls, verdicts on users, limits,
// lanes, queues and reconciliations.
//
// Nothing in it names a user. Labels are bounded: the phone number IDs that are configured and
// the first hundred others have series of their own, all further ones share the value "other". So
// do codes and outcomes after the first hundred.
package metrics
