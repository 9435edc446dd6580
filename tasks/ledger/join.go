package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Named is a name of the person that the API knows by a wa_id: a number as people dial it, or a BSUID.
type Named struct {
	Name user.ID
	WaID string
	// At is the time at which that was told; the zero time is long ago.
	At time.Time
}

// MaxNames is the number of names that one person may be told to have at once: spellings of a number, and a BSUID. An answer
// that tells more is not to be believed.
const MaxNames = 4

// NewName returns what is told where the API knows a user by a WhatsApp ID, and false where that is not another name of the
// user: it is the user's own, or none that a call could have.
func NewName(name user.ID, waID string, at time.Time) (Named, bool) {
	number, err := user.FromCanonical("+" + waID)
	return Named{Name: name, WaID: waID, At: at}, err == nil && !name.IsZero() && name != number
}

// NameLimits bound the names that are kept of persons without a record. Those of the others are kept with it. Zero
// fields are the defaults.
type NameLimits struct {
	Age   time.Duration // since a name was told last
	Names int           // per phone number ID
}

// The defaults of NameLimits.
const (
	DefaultNameAge   = 30 * 24 * time.Hour
	DefaultNamesKept = 200_000
)

// Join learns that names are those of one person. From then on a request under any of them is for the same record, that of
// "+" and the wa_id, and a call names that. Where several had records the newest request decides; an older one that was
// pending ends as superseded, and what it was comes back if the newer one is canceled. What was told last of a name
// counts, in whatever order it comes. It returns, for each name, the one under which its person's record stands
// that it was known as until now: another person's, as after a change of number; the zero ID else. It takes at most MaxBatch names.
func (l *Ledger) Join(ctx context.Context, names []Named, limits NameLimits) ([]user.ID, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(names)); err != nil {
		return nil, fmt.Errorf("ledger: join: %w", err)
	}
	if limits.Age == 0 {
		limits.Age = DefaultNameAge
	}
	if limits.Names == 0 {
		limits.Names = DefaultNamesKept
	}
	args := make([]any, 0, 4+3*len(names))
	args = append(args, WakeChannel, l.phoneNumberID, limits.Age.Milliseconds(), limits.Names)
	for _, n := range names {
		if _, err := user.FromCanonical("+" + n.WaID); err != nil || n.Name.IsZero() {
			return nil, fmt.Errorf("ledger: join: %w: no name, or a WhatsApp ID that is not a phone number", ErrInvalid)
		}
		args = append(args, n.Name.Reveal(), n.WaID, max(0, n.At.UnixMilli()))
	}
	keys := append(slices.Clone(l.keys), l.namesKey, l.personsKey, l.namesKey+":seen", l.endsKey, l.takenKey, l.countsKey)
	reply, err := joinScript.Run(ctx, l.rdb, keys, args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("ledger: join: %w", err)
	}
	if len(reply) != len(names) {
		return nil, fmt.Errorf("ledger: join: %w", ErrReply)
	}
	was := make([]user.ID, len(reply))
	for i, name := range reply {
		if name == "" {
			continue
		}
		if was[i], err = user.FromCanonical(name); err != nil {
			return nil, fmt.Errorf("ledger: join: %w", ErrReply)
		}
	}
	return was, nil
}
