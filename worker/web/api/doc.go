// Package api serves the HTTP API under /v1: what the commands and tasks.Producer do, for programs
// in any language. It decides nothing of its own: each route reads a request, asks what the commands
// ask, and answers with the same objects (package reply).
//
//   - openapi.json describes it, is served as /v1/openapi.json, and a test holds every request and
//     answer of the tests to it.
//   - Callers are admitted by package access. The name of the token is who asked.
//   - Errors are application/problem+json (RFC 9457) with a stable code. No number stands in a
//     problem's detail, in a path or in a log; inputs that were rejected go back to who sent them.
//   - Each class of routes has bounds of its own on requests at once, bodies and time, so that a
//     flood of one starves no other.
//
// Files: api.go has the routes, class.go their bounds, body.go reads requests, problem.go the errors;
// change.go, status.go, deadletters.go,
// pause.go, heard.go answer.
package api
