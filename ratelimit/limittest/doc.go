// Package limittest is a test kit: [Memory] does in Go what the scripts of redislimit do in Redis, and so a simulation can
// play hours of calls in milliseconds. A test of redislimit holds the two to the same answers. Imported by tests only.
package limittest
