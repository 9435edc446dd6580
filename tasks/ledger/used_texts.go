package ledger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// UsedTexts gathers the texts that records name, in some 20 bytes each. The zero value is empty.
type UsedTexts struct{ used map[uint64]struct{} }

// Add takes note of a digest.
func (u *UsedTexts) Add(digest string) {
	if u.used == nil {
		u.used = make(map[uint64]struct{})
	}
	u.used[short(digest)] = struct{}{}
}

func (u *UsedTexts) has(digest string) bool {
	_, ok := u.used[short(digest)]
	return ok
}

// short returns 64 of a digest's 66 bits: two that share them only keep a text for longer.
func short(digest string) (n uint64) {
	b, _ := base64.RawURLEncoding.DecodeString(digest) // what is no digest comes as 0
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// DropTexts drops the texts that neither used nor a job that is kept names, and returns how many. used is what
// a Scan of all records has found. A job that is registered in the moment between the last look at the jobs and
// the end of a step is shown without its text.
func (l *Ledger) DropTexts(ctx context.Context, used *UsedTexts) (int, error) {
	err := l.each(ctx, l.jobsPrefix, func(_, meta string) {
		var j JobRecord
		if json.Unmarshal([]byte(meta), &j) == nil && j.Text != "" {
			used.Add(j.Text)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("ledger: drop texts: %w", err)
	}
	var unused []string
	if err := l.each(ctx, l.textsKey(), func(digest, _ string) {
		if !used.has(digest) && len(unused) < maxDrop {
			unused = append(unused, digest)
		}
	}); err != nil {
		return 0, fmt.Errorf("ledger: drop texts: %w", err)
	}
	if len(unused) == 0 {
		return 0, nil
	}
	n, err := l.rdb.HDel(ctx, l.textsKey(), unused...).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: drop texts: %w", err)
	}
	return int(n), nil
}

// maxDrop bounds what one DropTexts drops: the next one goes on.
const maxDrop = 5000

// each walks over the fields of a hash, a few hundred a step; some may come twice.
func (l *Ledger) each(ctx context.Context, key string, f func(field, value string)) error {
	for cursor := uint64(0); ; {
		pairs, next, err := l.rdb.HScan(ctx, key, cursor, "", scanCount).Result()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			f(pairs[i], pairs[i+1])
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
