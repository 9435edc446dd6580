package plan

import (
	"crypto/sha256"
	"fmt"

	"github.com/wablock/wablock/tasks/user"
)

// hashOf returns a name for a set of unblocks: the users, and the version of each record that
// the decision is based on. Carrying them out changes the records, so the same approval can't
// apply twice. The result has letters alone: a run of digits would be masked as a phone number.
func hashOf(phoneNumberID string, unblocks []Change) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "wablock unblocks 2 %s", phoneNumberID) // a hash takes everything
	for _, c := range unblocks {
		_, _ = fmt.Fprintf(h, "\n%s %d", reveal(c.User), c.Seen)
	}
	return user.Letters(h.Sum(nil)[:10])
}
