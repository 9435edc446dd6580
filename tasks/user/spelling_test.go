package user_test

import (
	"slices"
	"testing"

	"github.com/wablock/wablock/tasks/user"
)

func TestSpellings(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"+5511987654321": {"+551187654321"},
		"+551187654321":  {"+5511987654321"},
		"+551133334444":  nil, // a fixed line has one form
		"+5215512345678": {"+525512345678"},
		"+525512345678":  {"+5215512345678"},
		"+5491123456789": {"+541123456789"},
		"+541123456789":  {"+5491123456789"},
		"+16505551234":   nil,
		"US.4711":        nil,
	}
	for in, others := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			id, err := user.FromCanonical(in)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range user.Spellings(id) {
				got = append(got, s.Reveal())
				if user.Fold(s.Reveal()) != user.Fold(in) {
					t.Errorf("%s and %s fold to %s and %s", in, s.Reveal(), user.Fold(in), user.Fold(s.Reveal()))
				}
			}
			if want := append([]string{in}, others...); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
