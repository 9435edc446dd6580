// Package learnbench measures how well the law of package ratelimit finds limits that it is not told, beside what others
// do. It holds nothing but tests and a benchmark; see docs/rate-limiting.md for the table and how to print it.
package learnbench
