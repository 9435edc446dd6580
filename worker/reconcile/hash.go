package reconcile

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"

	"github.com/wablock/wablock/tasks/user"
)

// finish sorts the plan and names it.
func (p *Plan) finish() {
	for _, changes := range [][]Change{p.ToBlock, p.ToUnblock, p.ToAdopt} {
		sortBy(changes, func(c Change) user.ID { return c.User })
	}
	p.Hash = hashOf(p.PhoneNumberID, p.ToUnblock)
}

// hashOf names unblocks: who, and the record of each that the decision is based on. Once they
// are carried out the records are others, so nobody can approve the same plan twice. The
// letters hold no digit: nothing takes the hash for a phone number and hides it.
func hashOf(phoneNumberID string, unblocks []Change) string {
	h := sha256.New()
	writeWord(h, "wablock unblocks 1")
	writeWord(h, phoneNumberID)
	for _, c := range unblocks {
		writeWord(h, reveal(c.User))
		_ = binary.Write(h, binary.BigEndian, int64(c.Seen)) // a hash takes everything
	}
	return letters(h.Sum(nil)[:10])
}

func writeWord(h hash.Hash, s string) {
	_ = binary.Write(h, binary.BigEndian, int64(len(s)))
	_, _ = io.WriteString(h, s)
}

// letters writes bytes as letters alone, two a byte.
func letters(b []byte) string {
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, 'a'+c>>4, 'a'+c&15)
	}
	return string(out)
}
