package protect_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const phoneNumberID = "106540352242922"

func id(t *testing.T, s string) user.ID {
	t.Helper()
	u, err := user.FromCanonical(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestProtect: every spelling of a number counts, in both directions, on one phone number ID or on all.
func TestProtect(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx := t.Context()
		for _, pair := range [][2]string{
			{"+16505551234", "+16505551234"},
			{"+5511987654321", "+551187654321"},
			{"+5215512345678", "+525512345678"},
			{"+5491123456789", "+541123456789"},
		} {
			for _, scope := range []string{phoneNumberID, ""} {
				for _, order := range [][2]string{pair, {pair[1], pair[0]}} {
					if err := protect.Add(ctx, rdb, scope, []user.ID{id(t, order[0])}, "staff", "ana"); err != nil {
						t.Fatal(err)
					}
					other := id(t, order[1])
					got, err := protect.Check(ctx, rdb, phoneNumberID, []user.ID{other, id(t, "+16505550000")})
					if err != nil || len(got) != 1 || got[other].Reason != "staff" || !strings.Contains(got[other].Why(), "staff") {
						t.Errorf("%v on %q: %v, %v", order, scope, got, err)
					}
					set, err := protect.Load(ctx, rdb, phoneNumberID)
					if err != nil || !set.Has(other, "") || !set.Has(id(t, "+16505550000"), order[0][1:]) || set.Has(id(t, "+16505550000"), "") {
						t.Errorf("%v on %q, in the set: %v", order, scope, err)
					}
					if got, err := protect.Check(ctx, rdb, "2", []user.ID{other}); err != nil || len(got) == 1 != (scope == "") {
						t.Errorf("%v on %q, elsewhere: %v, %v", order, scope, got, err)
					}
					if list, err := protect.List(ctx, rdb, scope); err != nil || len(list) != 1 || list[0].User != id(t, order[0]) || list[0].By != "ana" {
						t.Errorf("list: %v, %v", list, err)
					}
					if n, err := protect.Remove(ctx, rdb, scope, []user.ID{other}); err != nil || n != 1 {
						t.Errorf("remove: %d, %v", n, err)
					}
				}
			}
		}
		if n := rdb.DBSize(ctx).Val(); n != 0 {
			t.Errorf("%d keys are left", n)
		}
	})
}

func TestProtectIsBounded(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	if err := protect.Add(t.Context(), rdb, "", make([]user.ID, protect.Max+1), "x", "y"); !errors.Is(err, protect.ErrFull) {
		t.Errorf("got %v", err)
	}
}
