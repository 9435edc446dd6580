package ratelimit

import "testing"

func TestSettingsAreMadeSound(t *testing.T) {
	t.Parallel()
	for _, s := range []Settings{{}, {Rate: -1, Burst: -1, MaxUsers: -1}, {MaxUsers: 5000}} {
		if got, want := s.WithDefaults(), (Settings{DefaultRate, DefaultBurst, DefaultMaxUsers}); got != want {
			t.Errorf("%+v becomes %+v", s, got)
		}
	}
}
