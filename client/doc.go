// Package client speaks to Meta's Block Users API: it blocks and unblocks users of one
// business phone number, and lists who is blocked.
//
// One method call is one HTTP request. The package never retries, never sleeps and never
// logs a body; what to do about an error is said by [Classify], from one table of codes, and
// done by the caller.
//
//	c, err := client.New("https://graph.facebook.com", "v25.0", token)
//	…
//	result, err := c.Block(ctx, phoneNumberID, users)
//	for _, o := range result.Outcomes { … } // each user has a fate of its own
//
// # How answers are read
//
// The API is synchronous and judges every user by itself. A call may half succeed: it then
// comes with HTTP 400, a top-level error 139100 and the lists of who succeeded and who
// failed. So the lists are read whatever the status says, and such an answer is no error
// here. A user whom the answer does not name, or names on both sides, is [Unknown]: asking
// again is safe, because both operations set a state.
//
// Errors are told apart by their code, then by is_transient, then by the HTTP status, and
// never by their message: Meta advises so, and the status of an error differs between
// Meta's own pages.
//
// # What it hides
//
// Errors hold no phone number, no token and no URL. Texts of the API pass through
// [user.Scrub] before anybody can see them. Redirects are not followed, since they would
// carry the token elsewhere.
//
// The facts about the wire are those of Meta's reference of the block_users edge (v25.0),
// its page on business-scoped user IDs and its OpenAPI document (v23.0); where these are
// silent or differ, the decoder accepts every shape that one of them shows.
package client
