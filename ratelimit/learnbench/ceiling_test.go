package learnbench

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/wablock/wablock/client/simulator/quota"
)

// oracle paces calls evenly at a share of the true limit, which it knows with its changes. It can't know how long each call
// is under way.
type oracle struct {
	*fixed
	users   int
	share   float64
	changes []change
}

// newOracle returns an oracle for one process.
func newOracle(s scenario, seed uint64, share float64) *oracle {
	users := fullCall
	if s.users > 0 {
		users = s.users
	}
	return &oracle{newFixed(seed, 1, allFlying, s.limit*share, false), users, share, s.world(seed).changes}
}

func (o *oracle) take(process int, now time.Duration) (permit, bool, time.Duration) {
	for len(o.changes) > 0 && now >= o.changes[0].at {
		o.limiters[0].SetLimitAt(epochStart.Add(now), rate.Limit(o.share*o.changes[0].limit))
		o.changes = o.changes[1:]
	}
	p, ok, wait := o.fixed.take(process, now)
	p.users = o.users
	return p, ok, wait
}

// The ceiling is what the best oracle uses that has no more calls refused than this share.
const (
	ceilingRejected = 0.013
	ceilingSeeds    = 2
	ceilingHighest  = 108 // % of the limit: the first burst comes on top, and timers are late
	ceilingLowest   = 30
	ceilingStep     = 2
)

// ceilingOf returns the share of the limit that the best oracle uses: no strategy that does not know the jitter of each call
// uses much more. It is 0 where refusals do not depend on the pace, and where a window's budget changes in the middle of it,
// so that an even pace is not the best.
func ceilingOf(s scenario) float64 {
	s.processes = 1
	w := s.world(0)
	if w.calls > 0 { // measured against the ideal
		return 1
	}
	if _, windows := w.quota.(*quota.FixedWindow); windows && s.restored {
		return 0
	}
	for percent := ceilingHighest; percent >= ceilingLowest; percent -= ceilingStep {
		var all []result
		for seed := range uint64(ceilingSeeds) {
			w := s.world(seed)
			all = append(all, measure(s, w, w.run(newOracle(s, seed, float64(percent)/100))))
		}
		if m := mean(all); m.rejected <= ceilingRejected {
			return m.used
		}
	}
	return 0
}

// ceilingCell is the last cell of a line.
func ceilingCell(s scenario) string {
	if c := ceilingOf(s); c > 0 {
		return fmt.Sprintf("%.1f", 100*c)
	}
	return "none"
}
