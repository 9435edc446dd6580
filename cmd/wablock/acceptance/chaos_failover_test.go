package acceptance

import (
	"net/url"
	"os"
	"time"

	"github.com/wablock/wablock/cmd/wablock/acceptance/faultproxy"
	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
)

// failOver lets Redis lose what it wrote in the last one to two seconds, as after a failover to a replica that lagged: it
// is killed, and started again on its file as that was.
func (c *chaos) failOver(pause time.Duration) {
	if c.redisDown || os.Getenv("WABLOCK_CHAOS_APPENDFSYNC") != "" {
		return
	}
	from := time.Now()
	written, err := c.redis.Written()
	if err != nil {
		c.t.Fatal(err)
	}
	c.in(time.Second+pause/3, func() {
		if c.redisDown { // it was killed meanwhile, and comes back on its data
			return
		}
		c.tally["Redis lost its last second"]++
		c.redisDown = true
		c.redis.Kill()
		if err := c.redis.Lose(written); err != nil {
			c.t.Fatal(err)
		}
		c.losses = append(c.losses, history.Loss{From: from, To: time.Now()})
		c.startRedis()
	})
}

// lateCall stops a worker for longer than a claim lasts, while what it has sent to the API is on its way, and lets that
// arrive when the claim has run out.
func (c *chaos) lateCall(v *victim, more time.Duration) {
	if v.down || !v.stopped.IsZero() {
		return
	}
	c.tally["calls late"]++
	v.api.Hold()
	c.in(chaosClaim+more/2, v.api.Release)
	c.in(50*time.Millisecond, func() { c.stop(v, chaosClaim+more) })
}

// proxiedAPI returns a proxy in front of the API, and the API's URL by way of it.
func (c *chaos) proxiedAPI() (*faultproxy.Proxy, string) {
	c.t.Helper()
	u, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := faultproxy.Listen(u.Host)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(p.Close)
	u.Host = p.Addr()
	return p, u.String()
}
