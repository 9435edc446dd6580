package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// namePersons learns from a proven listing which names go together, and then names everyone in a plan's input as the
// ledger does: a plan has one name for a person, whichever the desired list, a task or Meta's list has. An entry
// that is listed by a BSUID alone gets the WhatsApp ID that is known for it.
//
// A nil learn learns nothing: what is known is only read.
func namePersons(ctx context.Context, l *ledger.Ledger, learn func(ctx context.Context, told ...tasks.Told) error, in *plan.Input) error {
	told := make([]tasks.Told, 0, len(in.Actual))
	for _, e := range in.Actual {
		if e.WaID != "" && e.UserID != "" {
			told = append(told, tasks.Told{WaID: e.WaID, UserID: e.UserID})
		}
	}
	if learn != nil {
		if err := learn(ctx, told...); err != nil {
			return fmt.Errorf("reconcile: %w", err)
		}
	}
	n := namer{ledger: l, called: map[user.ID]user.ID{}}
	for _, users := range [][]user.ID{in.Desired, in.Before} {
		if err := n.read(ctx, users); err != nil {
			return err
		}
	}
	for users := range slices.Chunk(in.Actual, ledger.MaxBatch) {
		if err := n.read(ctx, listedByIDAlone(users)); err != nil {
			return err
		}
	}
	for id := range in.Pending {
		n.wanted = append(n.wanted, id)
	}
	for id := range in.Later {
		n.wanted = append(n.wanted, id)
	}
	if err := n.read(ctx, n.wanted); err != nil {
		return err
	}
	in.Desired, in.Before = n.rename(in.Desired), n.rename(in.Before)
	for i, e := range in.Actual {
		if e.WaID == "" {
			in.Actual[i].WaID = n.waIDOf(e.UserID)
		}
	}
	for id, v := range in.Pending {
		if to := n.nameOf(id); to != id {
			in.Pending[to] = max(in.Pending[to], v)
		}
	}
	for id := range in.Later {
		in.Later[n.nameOf(id)] = struct{}{}
	}
	return nil
}

func listedByIDAlone(entries []client.Entry) (users []user.ID) {
	for _, e := range entries {
		if id, err := user.FromCanonical(e.UserID); e.WaID == "" && err == nil {
			users = append(users, id)
		}
	}
	return users
}

// namer knows the users whose records stand under another name.
type namer struct {
	ledger *ledger.Ledger
	called map[user.ID]user.ID // by the name that is not a record's
	wanted []user.ID
}

func (n *namer) read(ctx context.Context, users []user.ID) error {
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		persons, err := n.ledger.Persons(ctx, chunk)
		if err != nil {
			return err
		}
		for i, p := range persons {
			if p != chunk[i] {
				n.called[chunk[i]] = p
			}
		}
	}
	return nil
}

func (n *namer) nameOf(u user.ID) user.ID {
	if p, ok := n.called[u]; ok {
		return p
	}
	return u
}

// rename returns users by the names of their records, each once.
func (n *namer) rename(users []user.ID) []user.ID {
	if len(n.called) == 0 {
		return users
	}
	seen := make(map[user.ID]struct{}, len(users))
	renamed := make([]user.ID, 0, len(users))
	for _, u := range users {
		u = n.nameOf(u)
		if _, again := seen[u]; !again {
			seen[u] = struct{}{}
			renamed = append(renamed, u)
		}
	}
	return renamed
}

// waIDOf returns the WhatsApp ID that is known for a BSUID, "" for none.
func (n *namer) waIDOf(userID string) string {
	id, err := user.FromCanonical(userID)
	if err != nil {
		return ""
	}
	p, ok := n.called[id]
	if !ok || p.IsBSUID() {
		return ""
	}
	return strings.TrimPrefix(p.Reveal(), "+") //nolint:forbidigo // it is compared with the list's; nothing of it is printed
}
