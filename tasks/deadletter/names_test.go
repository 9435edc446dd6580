package deadletter_test

import (
	"testing"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// TestFilterByAnyName finds a person's letter by each of the names that are known, whichever it stands under.
func TestFilterByAnyName(t *testing.T) {
	t.Parallel()
	const number, id = "+5511987654321", "BR.77"
	for under, others := range map[string][]string{number: {"+551187654321", id}, id: {number, "+551187654321"}} {
		t.Run(under, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				f.die(ledger.Block, must(user.FromCanonical(under))(t), num(1))
				must(f.dead.Sync(t.Context(), phoneNumberID))(t)
				must(f.Producer.Learn(t.Context(), phoneNumberID, // the API tells a wa_id without the ninth digit
					tasks.Told{WaID: "551187654321", Name: must(user.FromCanonical(number))(t)},
					tasks.Told{WaID: "551187654321", UserID: id}))(t)
				for _, name := range append(others, under) {
					u := []user.ID{must(user.FromCanonical(name))(t)}
					for _, phone := range []string{phoneNumberID, ""} {
						found := f.all(deadletter.Filter{PhoneNumberID: phone, Users: u})
						if _, ok := found[under]; !ok || len(found) != 1 {
							t.Errorf("by %s on %q: %d entries", name, phone, len(found))
						}
					}
					if n := len(f.all(deadletter.Filter{PhoneNumberID: "42", Users: u})); n != 0 {
						t.Errorf("by %s on another phone number ID: %d entries", name, n)
					}
				}
				by := func(name string) deadletter.Filter {
					return deadletter.Filter{Users: []user.ID{must(user.FromCanonical(name))(t)}}
				}
				if n := must(f.dead.Discard(t.Context(), by(others[1]), deadletter.DiscardOptions{DryRun: true}))(t); n != 1 {
					t.Errorf("%d would be discarded", n)
				}
				r := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, by(others[0]), deadletter.RedriveOptions{}))(t)
				if s := must(f.Producer.Status(t.Context(), under))(t); r.Redriven != 1 || s.State != ledger.Waiting {
					t.Errorf("%+v, and it is %v", r, s.State)
				}
				if n := len(f.all(deadletter.Filter{})); n != 1 { // the other person's
					t.Errorf("%d are left", n)
				}
			})
		})
	}
}
