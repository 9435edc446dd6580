package user

// Letters writes bytes as letters alone, two a byte. Task IDs stand in the clear in logs and
// on web pages, where whatever hides long numbers would take a run of hex digits for one.
func Letters(b []byte) string {
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, 'a'+c>>4, 'a'+c&15)
	}
	return string(out)
}
