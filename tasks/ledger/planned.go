package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Planned is a request of a user that is put off, and not marked yet.
type Planned struct {
	Version   Version
	Operation Operation
	Due       time.Time
}

// Plan takes note of a request that is put off, for up to MaxBatch users; a user has at most 8.
func (l *Ledger) Plan(ctx context.Context, p Planned, users []user.ID) error {
	return l.plan(ctx, "add", p, users)
}

// Unplan takes it out: it is marked, or was canceled.
func (l *Ledger) Unplan(ctx context.Context, p Planned, users []user.ID) error {
	return l.plan(ctx, "drop", p, users)
}

func (l *Ledger) plan(ctx context.Context, what string, p Planned, users []user.ID) error {
	if len(users) == 0 {
		return nil
	}
	if err := checkBatch(len(users)); err != nil {
		return fmt.Errorf("ledger: plan: %w", err)
	}
	args := make([]any, 0, 4+len(users))
	args = append(args, what, int64(p.Version), p.Operation.letter(), max(0, p.Due.UnixMilli()))
	for _, u := range users {
		args = append(args, u.Reveal())
	}
	if err := planScript.Run(ctx, l.rdb, []string{l.plannedKey()}, args...).Err(); err != nil {
		return fmt.Errorf("ledger: plan: %w", err)
	}
	return nil
}

func (l *Ledger) plannedKey() string { return strings.TrimSuffix(l.jobsPrefix, "jobs") + "planned" }

// PlannedUsers counts the users who have planned requests.
func (l *Ledger) PlannedUsers(ctx context.Context) (int, error) {
	n, err := l.rdb.HLen(ctx, l.plannedKey()).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: planned: %w", err)
	}
	return int(n), nil
}

// PlannedOf returns what is planned for each user, in the order given; at most MaxBatch users.
func (l *Ledger) PlannedOf(ctx context.Context, users []user.ID) ([][]Planned, error) {
	if len(users) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(users)); err != nil {
		return nil, fmt.Errorf("ledger: planned: %w", err)
	}
	fields := make([]string, len(users))
	for i, u := range users {
		fields[i] = u.Reveal()
	}
	found, err := l.rdb.HMGet(ctx, l.plannedKey(), fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: planned: %w", err)
	}
	planned := make([][]Planned, len(users))
	for i, text := range found {
		if s, ok := text.(string); ok {
			planned[i] = parsePlanned(s)
		}
	}
	return planned, nil
}

func parsePlanned(text string) []Planned {
	var all []Planned
	for line := range strings.SplitSeq(text, ";") {
		w := strings.Fields(line)
		if len(w) != 3 {
			continue
		}
		version, err1 := strconv.ParseInt(w[0], 10, 64)
		due, err2 := strconv.ParseInt(w[2], 10, 64)
		if err1 == nil && err2 == nil {
			all = append(all, Planned{Version(version), operationOf(w[1]), time.UnixMilli(due)})
		}
	}
	return all
}
