package learnbench

import (
	"math"
	"math/rand/v2"
	"time"
)

// Constants of the adaptive retry mode of the AWS SDKs, as the SDKs document and publish them.
const (
	awsBeta     = 0.7
	awsScale    = 0.4
	awsSmooth   = 0.8
	awsMinRate  = 0.5
	awsAttempts = 3
	awsMaxWait  = 20 * time.Second
)

// aws is the adaptive mode as an SDK client would run it, one in each process: nothing is limited until the first
// refusal, then a token bucket follows a cubic curve; a refused request is tried three times with random waits.
type aws struct {
	clients []*awsClient
	slots   [][]slot
	rng     *rand.Rand
}

func newAWS(seed uint64, processes, inFlight int) *aws {
	a := &aws{rng: rand.New(rand.NewPCG(seed, 4))}
	for range processes {
		a.clients = append(a.clients, &awsClient{})
		a.slots = append(a.slots, make([]slot, inFlight))
	}
	return a
}

func (a *aws) take(p int, now time.Duration) (permit, bool, time.Duration) {
	free, wait := freeSlot(a.slots[p], now)
	if wait > 0 {
		return permit{}, false, wait
	}
	if wait := a.clients[p].take(now.Seconds()); wait > 0 {
		return permit{}, false, time.Duration(wait * float64(time.Second))
	}
	a.slots[p][free].busy = true
	return permit{users: fullCall, more: free}, true, 0
}

func (a *aws) report(p int, now time.Duration, pm permit, limited bool, _ time.Duration) {
	a.clients[p].heard(now.Seconds(), limited)
	s := &a.slots[p][pm.more.(int)]
	s.busy = false
	if !limited || s.failures+1 >= awsAttempts {
		s.failures = 0 // served, or given up: the next request takes its place
		return
	}
	wait := min(time.Duration(a.rng.Float64()*float64(time.Second<<s.failures)), awsMaxWait)
	s.failures++
	s.until = now + wait
}

// awsClient is the rate limiter of one SDK client. Times are in seconds.
type awsClient struct {
	enabled            bool
	rate, capacity     float64
	tokens, at         float64
	measured           float64 // requests a second, smoothed over half-second buckets
	bucket, requests   float64
	lastMax, lastLimit float64
}

func (c *awsClient) take(now float64) (wait float64) {
	if !c.enabled {
		return 0
	}
	c.refill(now)
	if c.tokens < 1 {
		return (1 - c.tokens) / c.rate
	}
	c.tokens--
	return 0
}

func (c *awsClient) refill(now float64) {
	c.tokens = min(c.capacity, c.tokens+(now-c.at)*c.rate)
	c.at = now
}

func (c *awsClient) heard(now float64, limited bool) {
	c.measure(now)
	var next float64
	if limited {
		current := c.measured
		if c.enabled {
			current = min(current, c.rate)
		}
		c.lastMax, c.lastLimit, c.enabled = current, now, true
		next = current * awsBeta
	} else {
		recovery := math.Cbrt(c.lastMax * (1 - awsBeta) / awsScale)
		next = awsScale*math.Pow(now-c.lastLimit-recovery, 3) + c.lastMax
	}
	c.refill(now)
	c.rate = max(min(next, 2*c.measured), awsMinRate)
	c.capacity = max(c.rate, 1)
	c.tokens = min(c.tokens, c.capacity)
}

func (c *awsClient) measure(now float64) {
	c.requests++
	half := math.Floor(now*2) / 2
	if half > c.bucket {
		c.measured = awsSmooth*c.requests/(half-c.bucket) + (1-awsSmooth)*c.measured
		c.requests, c.bucket = 0, half
	}
}
