package heard

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/user"
)

const (
	// Every is the time between two requests for one user that events bring about.
	Every = time.Minute
	// lease ends the turn of a process that died.
	lease = 5 * time.Second
)

// Turn is the right to ask for a user again, or the time until there is one.
type Turn struct {
	Mine bool          // the turn is the caller's, who has to end it with Done or Drop
	In   time.Duration // the user was asked for a moment ago, and may be again in that time
}

//go:embed lua/turn.lua
var turnLua string

var turnScript = redis.NewScript(turnLua) // stateless and shared

// Take takes the turns of users, as far as they are free.
func Take(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID) ([]Turn, error) {
	replies, err := turn(ctx, rdb, phoneNumberID, "take", lease, users)
	if err == nil && len(replies) != len(users) {
		err = ErrReply
	}
	if err != nil {
		return nil, fmt.Errorf("heard: take turns: %w", err)
	}
	turns := make([]Turn, len(replies))
	for i, ms := range replies {
		turns[i] = Turn{Mine: ms >= 0, In: time.Duration(max(0, ms)) * time.Millisecond}
	}
	return turns, nil
}

// Done ends turns: the users have another one after Every, and after the time of this one.
func Done(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, in time.Duration, users []user.ID) error {
	if _, err := turn(ctx, rdb, phoneNumberID, "done", in+Every, users); err != nil {
		return fmt.Errorf("heard: end turns: %w", err)
	}
	return nil
}

// Drop ends turns in which nothing was done.
func Drop(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID) error {
	if _, err := turn(ctx, rdb, phoneNumberID, "drop", 0, users); err != nil {
		return fmt.Errorf("heard: drop turns: %w", err)
	}
	return nil
}

func turn(ctx context.Context, rdb redis.UniversalClient, phoneNumberID, what string, lasts time.Duration, users []user.ID) ([]int64, error) {
	if len(users) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 2+len(users))
	args = append(args, what, lasts.Milliseconds())
	for _, u := range users {
		args = append(args, u.Reveal())
	}
	return turnScript.Run(ctx, rdb, []string{"wablock:{" + phoneNumberID + "}:heard:turns"}, args...).Int64Slice()
}
