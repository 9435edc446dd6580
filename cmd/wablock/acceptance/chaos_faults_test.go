package acceptance

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
)

func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }

// run throws faults for a time. Everything about them is drawn before it is known whether they
// find their victim, so that one seed gives one run.
func (c *chaos) run(d time.Duration) {
	end := time.Now().Add(d)
	next := time.Now().Add(2 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(end) {
		<-tick.C
		c.keepAppointments(time.Now())
		c.revive(slices.Concat(c.workers, c.producers))
		if time.Now().After(next) {
			next = time.Now().Add(c.between(300*time.Millisecond, 1500*time.Millisecond))
			c.fault()
		}
	}
}

func (c *chaos) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.rng.Int64N(int64(most-least)))
}

func (c *chaos) in(d time.Duration, do func()) {
	c.agenda = append(c.agenda, appointment{time.Now().Add(d), do})
}

func (c *chaos) keepAppointments(now time.Time) {
	var later, due []appointment
	for _, a := range c.agenda {
		if a.at.After(now) {
			later = append(later, a)
		} else {
			due = append(due, a)
		}
	}
	c.agenda = later
	for _, a := range due {
		a.do()
	}
}

// revive starts again who has ended, as a service manager would. Workers end by themselves
// when they are started without Redis.
func (c *chaos) revive(victims []*victim) {
	for _, v := range victims {
		select {
		case <-v.process.exited:
		default:
			continue
		}
		if v.down {
			continue
		}
		if !v.expect {
			c.tally["ended by themselves"]++
			v.down = true
			c.in(time.Second, func() { v.down, v.expect = false, true })
			continue
		}
		v.expect = false
		v.process = v.start()
	}
}

// fault does one thing.
func (c *chaos) fault() {
	what, who, long := c.rng.IntN(122), c.rng.IntN(64), c.between(100*time.Millisecond, 3*time.Second)
	veryLong, n := c.rng.IntN(4) == 0, 1+c.rng.IntN(3)
	worker, producer := c.workers[who%len(c.workers)], c.producers[who%len(c.producers)]
	anyone := slices.Concat(c.workers, c.producers)[who%(len(c.workers)+len(c.producers))]
	switch {
	case what < 18:
		c.kill(worker, syscall.SIGKILL, long)
	case what < 23:
		c.kill(worker, syscall.SIGTERM, long)
	case what < 37:
		if veryLong {
			long += chaosClaim + time.Second
		}
		c.stop(worker, long)
	case what < 43:
		c.kill(producer, syscall.SIGKILL, long/4)
	case what < 53:
		c.killRedis(long)
	case what < 63:
		c.tally["connections cut"]++
		anyone.proxy.Cut()
	case what < 73:
		c.tally["connections held"]++
		anyone.proxy.Hold()
		c.in(long, anyone.proxy.Release)
	case what < 80:
		c.tally["connections slow"]++
		anyone.proxy.Delay(long / 20)
		c.in(2*long, func() { anyone.proxy.Delay(0) })
	case what < 90:
		c.tally["replies lost"] += n
		anyone.proxy.LoseReplies(n)
	case what < 94:
		c.tally["Redis full"]++
		c.limitRedis("1mb")
		c.in(long, func() { c.limitRedis("0") })
	case what < 100:
		c.tally["API down"]++
		c.setScenario(chaosScenario(true))
		c.in(2*long, func() { c.setScenario(chaosScenario(false)) })
	case what < 107:
		c.failOver(long)
	case what < 109:
		c.lateCall(worker, long)
	case what >= 117:
		c.pauseCalls(who, long)
	case what >= 112:
		c.protect(who, long)
	default:
		c.stepClock(what%2 == 0, time.Duration(n)*long, long)
	}
}

// stepClock sets Redis's clock forward, by some seconds or an hour, or back by an hour, and right again after a while.
func (c *chaos) stepClock(back bool, by, pause time.Duration) {
	switch {
	case c.clock.offset != 0:
		return
	case back:
		by = -time.Hour
	case by > chaosTimeout:
		by = time.Hour
	}
	c.tally["clock stepped"]++
	from := time.Now()
	c.clock.set(by)
	c.in(pause, func() {
		c.clock.set(0)
		c.stops = append(c.stops, history.Stop{From: from, To: time.Now()}) // claims ran out early, or late
	})
}

// kill ends a process; it is started again after a while.
func (c *chaos) kill(v *victim, sig syscall.Signal, pause time.Duration) {
	if v.down || !v.stopped.IsZero() {
		return
	}
	c.tally[v.name[:len(v.name)-2]+" "+sig.String()]++
	v.down, v.expect = true, true
	v.process.signal(sig)
	c.in(pause, func() { v.down = false })
}

// stop lets a worker stand still, while its claims run out.
func (c *chaos) stop(v *victim, d time.Duration) {
	if v.down || !v.stopped.IsZero() {
		return
	}
	c.tally["worker stopped"]++
	if d > chaosTimeout {
		c.tally["worker stopped for longer than a claim"]++
	}
	v.stopped = time.Now()
	v.process.signal(syscall.SIGSTOP)
	c.in(d, func() { c.goOn(v) })
}

func (c *chaos) goOn(v *victim) {
	if v.stopped.IsZero() {
		return
	}
	v.process.signal(syscall.SIGCONT)
	if now := time.Now(); now.Sub(v.stopped) > chaosTimeout { // from there on a call may outlive its claim
		c.stops = append(c.stops, history.Stop{From: v.stopped, To: now})
	}
	v.stopped = time.Time{}
}

// killRedis kills Redis, and starts it again on its data.
func (c *chaos) killRedis(pause time.Duration) {
	if c.redisDown {
		return
	}
	c.tally["Redis killed"]++
	c.redisDown = true
	c.redis.Kill()
	c.in(pause, c.startRedis)
}

func (c *chaos) startRedis() {
	if !c.redisDown {
		return
	}
	c.redisDown = false
	if err := c.redis.Restart(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// limitRedis sets Redis's maxmemory: less than it already uses makes it refuse whatever needs more. One that is down
// comes back without a limit.
func (c *chaos) limitRedis(maxmemory string) {
	if c.redisDown {
		return
	}
	if err := c.rdb.ConfigSet(c.t.Context(), "maxmemory", maxmemory).Err(); err != nil {
		c.t.Fatal(err)
	}
}
