package tasks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// ErrBatcherClosed is returned, wrapped, for requests to a Batcher that was closed.
var ErrBatcherClosed = errors.New("the batcher is closed")

// BatchProducer has what a Batcher needs of a [Producer].
type BatchProducer interface {
	PhoneNumberID() string
	Allowed(ctx context.Context, r Request, users []user.ID, rejected []Rejection) ([]user.ID, []Rejection, error)
	Enqueue(ctx context.Context, r Request) (Job, error)
}

// BatcherConfig tunes a Batcher; its zero value works.
type BatcherConfig struct {
	// Wait is the time for which the first request of a batch waits for others; default 5 ms.
	Wait time.Duration
	// MaxUsers ends the wait; default and most 1,000, which is one task.
	MaxUsers int
	// Queue bounds the requests that have no answer yet; what is asked for beyond waits. Default 20,000.
	Queue int
	// Senders bounds the batches that are on their way to Redis at once; default 4. While all are busy, batches that
	// have waited long enough go on filling.
	Senders int
	// Timeout bounds the sending of one batch; default 10 s.
	Timeout time.Duration
}

func (c BatcherConfig) withDefaults() (BatcherConfig, error) {
	for field, to := range map[*int]int{&c.MaxUsers: queues.MaxUsersPerTask, &c.Queue: 20_000, &c.Senders: 4} {
		if *field == 0 {
			*field = to
		}
	}
	if c.Wait == 0 {
		c.Wait = 5 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	switch {
	case c.MaxUsers < 1 || c.MaxUsers > queues.MaxUsersPerTask:
		return c, fmt.Errorf("batches of %d users: it is from 1 to %d", c.MaxUsers, queues.MaxUsersPerTask)
	case c.Queue < 1 || c.Senders < 1:
		return c, errors.New("a queue or a number of senders below 1")
	case c.Wait < 0 || c.Timeout < 0:
		return c, errors.New("a wait or a timeout below 0")
	}
	return c, nil
}

// Batcher gathers requests for single users into jobs, for services that ask for many users a second, one at a time: a
// job of a thousand users costs Redis and the workers a fraction of a thousand jobs. Each caller gets an answer of its
// own, whose job is that of the whole batch: [Producer.Job] and [Producer.Cancel] speak of all its users.
//
// Requests share a batch when all of their options are equal: operation, phone number ID, queue, who asked and why,
// times. Every distinct reason, reference or time makes a batch of its own. A request with a job ID shares none. The queue
// is that of single requests, interactive, unless one is named.
//
// Of one user, requests take effect in the order in which they were added, over all batches of this Batcher: where the
// newer one differs from one that has not been sent yet, its batch follows that of the older. Safe for concurrent use.
type Batcher struct {
	p       BatchProducer
	cfg     BatcherConfig
	room    chan struct{} // a token for each request without an answer
	closing chan struct{}
	idle    chan struct{} // closed when the batcher is closed, and nothing is left of it

	mu      sync.Mutex
	closed  bool
	open    map[batchTerms]*batch  // those that take further requests
	last    map[batchTarget]*batch // those not done that hold a user's newest request
	ready   []*batch               // to be sent, in order
	senders int
	left    int // batches not done
}

// batchTarget is the blocklist entry that a request changes.
type batchTarget struct {
	phoneNumberID string
	user          user.ID
}

// NewBatcher returns a Batcher in front of p. Close it, or requests that were added last are lost.
func NewBatcher(p BatchProducer, cfg BatcherConfig) (*Batcher, error) {
	if p == nil {
		return nil, errors.New("tasks: new batcher: no producer")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("tasks: new batcher: %w", err)
	}
	return &Batcher{
		p: p, cfg: cfg, room: make(chan struct{}, cfg.Queue), closing: make(chan struct{}), idle: make(chan struct{}),
		open: map[batchTerms]*batch{}, last: map[batchTarget]*batch{},
	}, nil
}

// Block asks for one user to be blocked, and returns when the request is in Redis, with the batch that it is part of.
// The Job has this user alone. An input that names no user, or one that is protected, is in its Rejected, and the error
// is ErrNoUsers. When ctx ends first, the request may be accepted yet.
func (b *Batcher) Block(ctx context.Context, input string, opts ...Option) (Job, error) {
	return b.ask(ctx, ledger.Block, input, opts)
}

// Unblock asks for one user to be unblocked; otherwise it is as Block.
func (b *Batcher) Unblock(ctx context.Context, input string, opts ...Option) (Job, error) {
	return b.ask(ctx, ledger.Unblock, input, opts)
}

func (b *Batcher) ask(ctx context.Context, op ledger.Operation, input string, opts []Option) (Job, error) {
	r, err := NewRequest(op, []string{input}, opts...)
	if err != nil {
		return Job{Operation: op, Rejected: r.Rejected}, fmt.Errorf("tasks: batch: %w", err)
	}
	p, err := b.add(ctx, r)
	if err != nil {
		return Job{Operation: op}, err
	}
	return p.Wait(ctx)
}

// Add asks for one user to be blocked or unblocked, and returns before the request is in Redis: [Pending.Wait] tells
// when it is. It waits for room, until ctx ends. After an error nothing is asked for.
func (b *Batcher) Add(ctx context.Context, op Operation, input string, opts ...Option) (*Pending, error) {
	r, err := NewRequest(op, []string{input}, opts...)
	if err != nil {
		return nil, fmt.Errorf("tasks: batch: %w", err)
	}
	return b.add(ctx, r)
}

// add puts a request for one user into a batch. What is wrong with it is found here, so that it fails no other.
func (b *Batcher) add(ctx context.Context, r Request) (*Pending, error) {
	given := r.Given
	checked, err := r.Complete(ProducerConfig{PhoneNumberID: b.p.PhoneNumberID(), Retention: DefaultRetention})
	if err == nil {
		err = r.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("tasks: batch: %w", err)
	}
	r.PhoneNumberID, r.Queue, r.Given = checked.PhoneNumberID, checked.Queue, given
	select {
	case <-b.closing:
		return nil, fmt.Errorf("tasks: batch: %w", ErrBatcherClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("tasks: batch: not asked for: %d requests wait for Redis: %w", b.cfg.Queue, context.Cause(ctx))
	case b.room <- struct{}{}:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		<-b.room
		return nil, fmt.Errorf("tasks: batch: %w", ErrBatcherClosed)
	}
	u := r.Users[0]
	of := batchTarget{r.PhoneNumberID, u}
	into, before := b.open[termsOf(&r)], b.last[of]
	if before != nil && before != into {
		b.seal(before) // it takes no more, so none waits for one that waits for it
		if into != nil && into.ready && into.before == 0 {
			b.seal(into) // it is in line, and can't be held back
			into = nil
		}
	}
	if into == nil {
		into = b.begin(r)
	}
	if before != nil && before != into {
		into.before++
		before.then = append(before.then, into)
	}
	into.add(r)
	b.last[of] = into
	if len(into.users) == b.cfg.MaxUsers || r.JobID != "" {
		b.seal(into)
	}
	return &Pending{batch: into, user: u}, nil
}

// begin opens a batch for requests like r. It requires mu held.
func (b *Batcher) begin(r Request) *batch {
	n := newBatch(r)
	b.open[n.terms] = n
	b.left++
	n.timer = time.AfterFunc(b.cfg.Wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.enqueue(n)
	})
	return n
}

// seal lets a batch take no more requests, and be sent. It requires mu held.
func (b *Batcher) seal(n *batch) {
	if b.open[n.terms] == n {
		delete(b.open, n.terms)
	}
	b.enqueue(n)
}

// enqueue lets a batch be sent once those before it are done. It requires mu held.
func (b *Batcher) enqueue(n *batch) {
	if n.ready {
		return
	}
	n.ready = true
	n.timer.Stop()
	if n.before == 0 {
		b.push(n)
	}
}

// push puts a batch in line, and starts a sender where there may be one more. It requires mu held.
func (b *Batcher) push(n *batch) {
	b.ready = append(b.ready, n)
	if b.senders < b.cfg.Senders {
		b.senders++
		go b.sendAll()
	}
}

// sendAll sends batches for as long as some are in line.
func (b *Batcher) sendAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.ready) > 0 {
		n := b.ready[0]
		b.ready[0], b.ready = nil, b.ready[1:]
		b.seal(n) // until now it took more
		b.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Timeout)
		n.send(ctx, b.p)
		cancel()
		close(n.done)
		b.mu.Lock()
		b.finish(n)
	}
	b.senders--
}

// finish forgets a batch that is done, and lets those go that waited for it. It requires mu held.
func (b *Batcher) finish(n *batch) {
	for u := range n.users {
		if of := (batchTarget{n.terms.PhoneNumberID, u}); b.last[of] == n {
			delete(b.last, of)
		}
	}
	for _, next := range n.then {
		if next.before--; next.before == 0 && next.ready {
			b.push(next)
		}
	}
	n.then = nil
	for range n.count {
		<-b.room
	}
	if b.left--; b.left == 0 && b.closed {
		close(b.idle)
	}
}

// Close takes no more requests, sends what was added, and returns when all of it is done, or ctx ends: what has no
// answer then may be accepted yet.
func (b *Batcher) Close(ctx context.Context) error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.closing)
		for _, n := range b.open {
			b.seal(n)
		}
		if b.left == 0 {
			close(b.idle)
		}
	}
	b.mu.Unlock()
	select {
	case <-b.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("tasks: close batcher: %d requests are not known to be accepted: %w", len(b.room), context.Cause(ctx))
	}
}

// Pending is a request that was added to a [Batcher].
type Pending struct {
	batch *batch
	user  user.ID
}

// Done is closed when the request has its answer.
func (p *Pending) Done() <-chan struct{} { return p.batch.done }

// Wait returns what [Batcher.Block] does. When ctx ends first, the request may be accepted yet.
func (p *Pending) Wait(ctx context.Context) (Job, error) {
	select {
	case <-p.batch.done:
		return p.batch.of(p.user)
	case <-ctx.Done():
		t := p.batch.terms
		return Job{Operation: t.Operation, PhoneNumberID: t.PhoneNumberID, Queue: t.Queue},
			fmt.Errorf("tasks: batch: no answer yet: it may be accepted all the same: %w", context.Cause(ctx))
	}
}
