// Package limittest holds what tests of limiters share: a Redis of their own, real or simulated, with a clock where it
// can be set. It is imported by tests only.
package limittest
