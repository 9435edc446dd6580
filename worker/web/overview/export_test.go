package overview

import "time"

// Expire lets the next answer be read anew, but for what changes slowly.
func (r *Reader) Expire() { r.until = time.Time{} }
