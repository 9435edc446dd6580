package api

import (
	"context"
	"net/http"
	"time"
)

// class bounds the requests of some routes: how many at once, how large, how slow. Routes of
// different classes never wait for each other.
type class struct {
	slots   chan struct{}
	body    int64         // bytes, before and after decompression
	read    time.Duration // for the body to arrive
	timeout time.Duration // to answer, from then on
}

func newClass(atOnce int, body int64, read, timeout time.Duration) *class {
	return &class{slots: make(chan struct{}, atOnce), body: body, read: read, timeout: timeout}
}

// patience is the time that a request waits for a slot of its class.
const patience = time.Second

// enter takes a slot, and returns false when none became free in time.
func (c *class) enter(ctx context.Context) bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}

func (c *class) leave() { <-c.slots }

// The bounds of bodies.
const (
	smallBody = 64 << 10
	largeBody = 8 << 20
)

// classes are those of one handler.
type classes struct {
	small *class // changes of some users
	large *class // changes of many, or of a number not known yet
	look  *class // status, limits
	dead  *class // the dead-letter queue, which may be read as a whole
	wait  *class // one job, perhaps until it ends
	heard *class // events
	open  *class // the description
}

func newClasses() *classes {
	return &classes{
		small: newClass(64, smallBody, 5*time.Second, 20*time.Second),
		large: newClass(4, largeBody, 30*time.Second, 50*time.Second),
		look:  newClass(32, smallBody*2, 5*time.Second, 20*time.Second),
		dead:  newClass(4, largeBody, 15*time.Second, 50*time.Second),
		wait:  newClass(256, 0, 5*time.Second, maxWait+10*time.Second),
		heard: newClass(16, largeBody/16, 5*time.Second, 20*time.Second),
		open:  newClass(16, 0, 5*time.Second, 5*time.Second),
	}
}

// change returns the class of a request for a change: small ones say that they are.
func (c *classes) change(r *http.Request) *class {
	if r.ContentLength >= 0 && r.ContentLength <= smallBody && r.Header.Get("Content-Encoding") == "" {
		return c.small
	}
	return c.large
}

func always(c *class) func(*http.Request) *class { return func(*http.Request) *class { return c } }
