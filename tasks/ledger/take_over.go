package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Bounds of TakeOver: claims that are read at a time, that one script looks at, and users from which on it ends.
const (
	claimsAtOnce  = 5000
	claimsAScript = 200
	usersAScript  = 1000
)

// TakeOver lets the users of claims wait in line again whose ID begins with prefix, as those of a worker do that is
// taken for dead, and returns how many these are. Their calls may be out: the same operation may be called for at once,
// since to repeat it does no harm, and the other one once the claim's deadline has passed. A worker that lives all the
// same loses its claims, as at their deadline. A user who was taken over is not taken over again until then.
func (l *Ledger) TakeOver(ctx context.Context, prefix string) (int, error) {
	taken := 0
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: take over: %w", err)
	}
	from := strconv.FormatInt(now.UnixMilli(), 10)
	for offset := int64(0); ; offset += claimsAtOnce {
		page, err := l.rdb.ZRangeByScore(ctx, l.claimsKey, &redis.ZRangeBy{Min: from, Max: "+inf", Offset: offset, Count: claimsAtOnce}).Result()
		if err != nil {
			return taken, fmt.Errorf("ledger: take over: %w", err)
		}
		claims := slices.DeleteFunc(slices.Clone(page), func(claim string) bool {
			_, id, _ := strings.Cut(claim, " ")
			return !strings.HasPrefix(id, prefix)
		})
		n, err := l.takeOver(ctx, claims)
		if taken += n; err != nil || len(page) < claimsAtOnce {
			return taken, err
		}
	}
}

func (l *Ledger) takeOver(ctx context.Context, claims []string) (taken int, err error) {
	for len(claims) > 0 {
		args := []any{usersAScript}
		for _, c := range claims[:min(len(claims), claimsAScript)] {
			args = append(args, c)
		}
		reply, err := takeOverScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.claimsKey, l.takenKey), args...).Int64Slice()
		if err != nil {
			return taken, fmt.Errorf("ledger: take over: %w", err)
		}
		if len(reply) != 2 || reply[0] < 1 || reply[0] > int64(len(claims)) {
			return taken, fmt.Errorf("ledger: take over: %w", ErrReply)
		}
		taken += int(reply[1])
		claims = claims[reply[0]:]
	}
	return taken, nil
}
