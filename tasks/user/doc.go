// Package user names the people that a blocklist holds: by phone number (E.164) or by
// business-scoped user ID (BSUID, "US.1349…").
//
// An [ID] is safe to log, to print and to marshal: it renders masked everywhere. Only
// [ID.Reveal] gives the number in clear, and only the task codec, the ledger, the API client
// and the commands that answer a person may call it.
//
// The package never guesses: a number is international, of the [Country] that the caller names,
// or rejected. docs/numbers.md has a table of what is read as what.
package user
