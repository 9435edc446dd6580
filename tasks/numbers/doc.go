// Package numbers reads files of phone numbers, as people export and type them: plain lines,
// or CSV with commas, semicolons or tabs, with or without a header row.
//
// What is no number is rejected by line and reason, and the rest goes on; only a file that
// can't be meant (binary, empty, without a single number) is an error as a whole.
package numbers
