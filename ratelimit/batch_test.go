package ratelimit

import "testing"

// findCap plays calls, one after another, against a cap that is not told, and returns the refusals and the size found.
func findCap(limit, truth int) (refused, size int, u BatchLimit) {
	s := State{Probe: true, Settled: true}
	for range 100 {
		users := u.Size
		if users == 0 {
			users = limit
		}
		e := Event{Probe: s.Probe}
		if trial := u.trial(0, limit); trial > 0 && !s.Probe {
			users, e.Trial = trial, trial
		}
		e.Users = users
		s.Batch = u
		if users > truth {
			refused++
			if (&law{State: s}).blamesSize(e) {
				u = u.refused(users, 0)
			}
			s.Probe = true
			continue
		}
		u = u.served(users, limit)
		s.Probe = false
	}
	size = u.Size
	if size == 0 {
		size = limit
	}
	return refused, size, u
}

func TestFindsAnyCap(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 7, 100, 1000} {
		for truth := 1; truth <= limit; truth++ {
			refused, size, _ := findCap(limit, truth)
			if size > truth || float64(size) < 0.85*float64(truth) {
				t.Errorf("cap %d of %d: found %d", truth, limit, size)
			}
			// Ten halvings lead from 1000 to 1, and some trials close in.
			if refused > 14 || truth >= 50 && refused > 10 {
				t.Errorf("cap %d of %d: %d refusals", truth, limit, refused)
			}
		}
	}
}

// A refusal that was only about pace halves the size by mistake: two calls undo that.
func TestMistakenSizeRecovers(t *testing.T) {
	t.Parallel()
	u := BatchLimit{}.refused(1000, 0)
	if u.Size != 500 {
		t.Fatalf("halved to %d", u.Size)
	}
	u = u.served(500, 1000)
	if trial := u.trial(0, 1000); trial != 1000 {
		t.Fatalf("then tries %d", trial)
	}
	if u = u.served(1000, 1000); u.Size != 0 || u.Refused != 0 {
		t.Errorf("after the trial: %+v", u)
	}
}

func TestLiftedCapIsNoticed(t *testing.T) {
	t.Parallel()
	_, _, u := findCap(1000, 50)
	if trial := u.trial(0, 1000); trial != 0 {
		t.Fatalf("found, and still tries %d", trial)
	}
	later := Instant(0).Add(usersRetry)
	for range 20 {
		if trial := u.trial(later, 1000); trial > 0 {
			u = u.served(trial, 1000)
		}
	}
	if u.Size != 0 {
		t.Errorf("stays at %d", u.Size)
	}
}

func TestBlamesSizeOnlyWherePaceCannotBe(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		failures int
		proven   int
		event    Event
		want     bool
	}{
		"one call among many":       {0, 0, Event{Observation: Observation{Users: 1000}}, false},
		"first probe, size unknown": {0, 0, Event{Observation: Observation{Users: 1000}, Probe: true}, true},
		"probe of a proven size":    {1, 1000, Event{Observation: Observation{Users: 1000}, Probe: true}, false},
		"fourth refusal in a row":   {3, 1000, Event{Observation: Observation{Users: 1000}, Probe: true}, true},
		"trial":                     {0, 50, Event{Observation: Observation{Users: 60}, Trial: 60}, true},
		"trial that was not filled": {0, 50, Event{Observation: Observation{Users: 40}, Trial: 60}, false},
		"single user":               {9, 0, Event{Observation: Observation{Users: 1}, Probe: true}, false},
	} {
		s := State{Failures: tt.failures, Batch: BatchLimit{Proven: tt.proven}}
		if got := (&law{State: s}).blamesSize(tt.event); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// doubted is a cap of 220 that was found, and then a lock-out that refused calls of a size that works.
func doubted() BatchLimit {
	u := BatchLimit{Size: 200, Proven: 200, Refused: 220, Sure: true, RetryAt: Instant(0).Add(usersRetry)}
	return u.refused(200, 0).refused(100, 0).served(50, 1000)
}

func TestDoubtedSizeIsTriedAgain(t *testing.T) {
	t.Parallel()
	u := doubted()
	if trial := u.trial(0, 1000); u.Size != 50 || trial != 200 {
		t.Fatalf("size %d, then tries %d; want the size that worked", u.Size, trial)
	}
	if u = u.served(200, 1000); u.Size != 200 || u.Refused != 220 || !u.Sure {
		t.Errorf("after the trial: %+v", u)
	}
	if u = (BatchLimit{Proven: 1000}).refused(1000, 0).served(500, 1000); u.Size != 500 {
		t.Errorf("believed again without a trial: %+v", u)
	}
}

func TestLoweredCapIsFound(t *testing.T) {
	t.Parallel()
	u := doubted()
	s := State{Batch: u}
	if e := (Event{Observation: Observation{Users: 200}, Trial: 200}); !(&law{State: s}).blamesSize(e) {
		t.Fatal("the trial that was refused is not blamed on the size")
	}
	u = u.refused(200, 0)
	if u.Size != 50 || u.Proven != 50 || u.Refused != 200 {
		t.Fatalf("after the trial: %+v", u)
	}
	for range 20 {
		switch trial := u.trial(0, 1000); {
		case trial > 70:
			u = u.refused(trial, 0)
		case trial > 0:
			u = u.served(trial, 1000)
		}
	}
	if u.Size > 70 || u.Size < 60 {
		t.Errorf("a cap lowered to 70 was found as %d", u.Size)
	}
}

// slowAPI answers a call when it carries no more users than fit into the timeout.
func slowAPI(s *State, fits, calls int) (timeouts int, sizes []int) {
	set := Settings{Rate: 100}.WithDefaults()
	for range calls {
		users, trial, e := s.Batch.Size, s.trial(0, set), Event{Epoch: s.Epoch}
		if users == 0 {
			users = set.MaxUsers
		}
		if trial > 0 {
			users, e.Trial = trial, trial
		}
		e.Users, e.TimedOut = users, users > fits
		e.Served = !e.TimedOut
		if e.TimedOut {
			timeouts++
		}
		sizes = append(sizes, users)
		*s = Next(*s, e, 0, set)
	}
	return timeouts, sizes
}

// Calls that time out are made smaller until they fit; the size that works is kept, and the rate is not blamed.
func TestTimeoutsHalveTheSize(t *testing.T) {
	t.Parallel()
	for _, fits := range []int{1, 7, 62, 500, 750, 999} {
		s := Start(0, Settings{}.WithDefaults())
		s.Probe = false
		rate := s.Rate
		timeouts, _ := slowAPI(&s, fits, 60)
		if timeouts > 14 {
			t.Errorf("%d users fit: %d of 60 calls timed out", fits, timeouts)
		}
		if size := s.Batch.Size; size > fits || float64(size) < 0.85*float64(fits) {
			t.Errorf("%d users fit: calls carry %d", fits, size)
		}
		if s.Rate != rate || s.Epoch != 0 || s.LimitErrors != 0 {
			t.Errorf("%d users fit: the rate was cut to %v", fits, s.Rate)
		}
	}
}

// Calls that are in flight together time out together: they halve the size once.
func TestTimeoutsOfOneMomentHalveOnce(t *testing.T) {
	t.Parallel()
	u := BatchLimit{Proven: 1000}
	for range 32 {
		u = u.timedOut(1000, false, 0)
	}
	if u.Size != 500 {
		t.Errorf("32 timeouts of 1,000 users leave %d", u.Size)
	}
}

// An API that hangs for a while lets calls of any size time out. Afterwards a few calls bring the old size back.
func TestSizeRecoversFromAHangingAPI(t *testing.T) {
	t.Parallel()
	s := Start(0, Settings{}.WithDefaults())
	s.Probe = false
	slowAPI(&s, 1000, 5)
	for s.Batch.works() > 1 {
		slowAPI(&s, 0, 1)
	}
	if timeouts, sizes := slowAPI(&s, 1000, 40); timeouts > 0 || s.Batch.Size != 0 {
		t.Errorf("%d timeouts, then %d users per call; calls carried %v", timeouts, s.Batch.Size, sizes)
	}
}
