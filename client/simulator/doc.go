// Package simulator is a simulated Block Users API of the WhatsApp Business Platform: stateful,
// strict and repeatable, for tests of programs that call the real one.
//
// A [Simulator] is an [http.Handler]. It keeps a blocklist for each phone number ID, knows who
// wrote in the last 24 hours, counts calls against hidden limits, pages through lists with
// cursors that break when the list changes, and goes wrong in every way that a [Scenario] asks
// for. [TestNumbers] go wrong without any. Its journal shows afterwards what was called, and
// [Overlaps] whether a user was ever in two calls at once.
//
//	sim, err := simulator.New(simulator.Config{})
//	…
//	server := httptest.NewServer(sim)
//
// It starts no goroutines, so it can be served over net.Pipe inside a testing/synctest bubble;
// give the server a BaseContext that the test cancels, or a call that hangs outlives it.
//
// What it does not do. It is written from Meta's public pages and from samples, and was never
// held against the live API: what those leave open is a setting. It sends no messages and no
// webhooks, so blocking a user has no effect but the list. Users do not change their number or
// delete their account. It has no other endpoint of the Graph API, no batch requests and no
// field selection. It knows a token only as a string: no apps, permissions or roles. Limits
// hold in one process. It is stricter than the real API about unknown fields, parameters and
// content types, since those are mistakes that a test should find. Everything is in memory, and
// its controls ask for no password: keep it on loopback.
package simulator
