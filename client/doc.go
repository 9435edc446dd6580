// Package client calls Meta's Block Users API: it blocks and unblocks users of one business phone
// number, and lists the blocked ones.
//
// One method call is one HTTP request. The package never retries, never sleeps and never logs a
// body; [Classify] returns the remedy of an error, from one table of codes (codes.go), and the
// caller applies it.
//
//	c, err := client.New("https://graph.facebook.com", "v25.0", token)
//	…
//	result, err := c.Block(ctx, phoneNumberID, users)
//	for _, o := range result.Outcomes { … } // one per user
//
// # How answers are read
//
// The API is synchronous and has a result for every user. A call may half succeed: its answer then
// has HTTP status 400, a top-level error 139100 and the lists of users that succeeded and failed.
// So the lists are read whatever the status, and such an answer is not an error here. A user that
// the answer does not name, or names in both lists, is [Unknown]: a repeat is safe, because both
// operations are idempotent.
//
// Errors are told apart by their code, then by is_transient, then by the HTTP status, and
// never by their message: Meta advises so, and the status of an error differs between
// Meta's own pages.
//
// # What it hides
//
// Errors hold no phone number, no token and no URL. Texts of the API pass through
// [user.Scrub] before they are kept. Redirects are not followed, since they would
// carry the token elsewhere.
//
// The facts about the wire are those of Meta's reference of the block_users edge (v25.0),
// its page on business-scoped user IDs and its OpenAPI document (v23.0); where these are
// silent or differ, the decoder accepts every shape that one of them shows.
package client
