package simulator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// cursor is a place in one version of a list. On the wire it looks as Meta's do: compact JSON
// in base64, in which each Z is then written ZA and each = is written ZD.
type cursor struct {
	Offset  int    `json:"offset"`    // index of an entry; -1 is the place before the first
	Version string `json:"versionId"` // microseconds since 1970, 16 digits
}

var (
	mangle   = strings.NewReplacer("Z", "ZA", "=", "ZD")
	unmangle = strings.NewReplacer("ZA", "Z", "ZD", "=")
)

// maxCursor bounds what is looked at; real ones have some 70 bytes.
const maxCursor = 512

var errCursor = errors.New("simulator: not a cursor of this list")

func newCursor(offset int, version int64) cursor {
	return cursor{Offset: offset, Version: fmt.Sprintf("%016d", version)}
}

func (c cursor) String() string {
	return mangle.Replace(base64.StdEncoding.EncodeToString(
		fmt.Appendf(nil, `{"offset":%d,"versionId":"%s"}`, c.Offset, c.Version)))
}

// parseCursor accepts exactly what String gives.
func parseCursor(text string) (cursor, error) {
	if len(text) > maxCursor {
		return cursor{}, errCursor
	}
	raw, err := base64.StdEncoding.DecodeString(unmangle.Replace(text))
	if err != nil {
		return cursor{}, errCursor
	}
	var c cursor
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil || c.Offset < -1 || c.Version == "" || !allDigits(c.Version) || c.String() != text {
		return cursor{}, errCursor
	}
	return c, nil
}
