package ratelimit

// Settings are the configured bounds of one phone number ID. Zero fields take the default named.
type Settings struct {
	Rate     float64 // ceiling in calls a second, all workers together; default 20
	Burst    int     // calls that may go at once after a lull; default 5
	MaxUsers int     // users per call, 1 to 1000; default 1000
}

// Bounds of Settings.
const (
	DefaultRate     = 20.0
	DefaultBurst    = 5
	DefaultMaxUsers = 1000
	maxBurst        = 1_000
)

// WithDefaults fills zero and impossible fields, so that a wrong setting slows calls down but never stops them.
func (s Settings) WithDefaults() Settings {
	if !(s.Rate > 0) {
		s.Rate = DefaultRate
	}
	s.Rate = min(max(s.Rate, MinRate), MaxRate)
	if s.Burst < 1 {
		s.Burst = DefaultBurst
	}
	s.Burst = min(s.Burst, maxBurst)
	if s.MaxUsers < 1 || s.MaxUsers > DefaultMaxUsers {
		s.MaxUsers = DefaultMaxUsers
	}
	return s
}

// AccountSettings are the bounds of an account: none is configured, so only what is learnt limits it.
func AccountSettings() Settings {
	return Settings{Rate: MaxRate, Burst: maxBurst, MaxUsers: DefaultMaxUsers}
}
