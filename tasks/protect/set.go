package protect

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/user"
)

// Set holds who was protected at one time, for decisions over many users. The zero Set protects none.
type Set struct{ forms map[string]struct{} }

// Load returns who is protected on a phone number ID, by its own list and by that of all.
func Load(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) (Set, error) {
	s := Set{forms: map[string]struct{}{}}
	for _, id := range []string{"", phoneNumberID} {
		forms, err := rdb.HKeys(ctx, listKey(id)).Result()
		if err != nil {
			return Set{}, fmt.Errorf("protect: load: %w", err)
		}
		for _, f := range forms {
			s.forms[f] = struct{}{}
		}
	}
	return s, nil
}

// Has reports whether a user is protected, as dialled or by the name that the API has told; waID is "" where it has
// told none.
func (s Set) Has(u user.ID, waID string) bool {
	if len(s.forms) == 0 {
		return false
	}
	_, found := s.forms[user.Fold(u.Reveal())]
	if !found && waID != "" {
		_, found = s.forms[user.Fold("+"+waID)]
	}
	return found
}
