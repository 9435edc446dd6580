package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
)

// Lister is the part of the Block Users API that a listing uses; *client.Client is one.
type Lister interface {
	ListPage(ctx context.Context, phoneNumberID string, o client.ListOptions) (*client.Page, error)
}

// ErrNeverQuiet is returned, wrapped, by a listing that the list's changes broke again and
// again: nothing is known then.
var ErrNeverQuiet = errors.New("the blocklist changed during each listing")

// The patience of a listing.
const (
	pageTries       = 3  // of one page
	pageWaits       = 6  // of one page while the API wants less haste
	pageEmpties     = 10 // times that one page may show nobody and lead on to itself
	maxPagePause    = time.Minute
	holdAfter       = 2 // restarts, after which our own writes stand still
	defaultRestarts = 8
	firstRestart    = 250 * time.Millisecond // pause before starting over; it doubles
	maxRestart      = 5 * time.Second
	defaultLimit    = 1000 // users a page; the API gives as many as it likes
	fallbackLimit   = 100  // when it refuses that
	maxYield        = time.Second
)

// Listing collects a whole blocklist, at a pace that is shared with everybody else. API and
// PhoneNumberID are required.
type Listing struct {
	API           Lister
	PhoneNumberID string
	// Limiter gives leave for each page; nil needs none.
	Limiter ratelimit.Limiter
	Key     ratelimit.Key
	// Hold is called once the list has changed under two listings: it makes our own writes
	// stand still until the listing has ended. nil holds nothing.
	Hold func(ctx context.Context) error
	// Writes reports whether users wait to be blocked or unblocked, before whom a page
	// stands back for a moment. nil for never.
	Writes func(ctx context.Context) bool
	// Limit is how many users to ask for in a page. 0 means 1000, and 100 when the API refuses
	// that.
	Limit int
	// Restarts bounds how often it starts over. 0 means 8.
	Restarts int
	// Pause returns after a time, or with the error of the context. nil: on the clock.
	Pause func(ctx context.Context, d time.Duration) error
	// Say is told what makes it take longer, for people. nil: nobody.
	Say func(format string, args ...any)
	// Logger may be nil.
	Logger *slog.Logger
}

// Whole returns the list once it ran to its proven end without having changed. When it
// changes each time the error matches ErrNeverQuiet.
func (l Listing) Whole(ctx context.Context) ([]client.Entry, error) {
	l = l.withDefaults()
	pause := firstRestart
	for restarts := 0; ; restarts++ {
		entries, err := l.once(ctx)
		if err == nil || !startsOver(err) {
			return entries, err
		}
		if restarts == l.Restarts {
			return nil, fmt.Errorf("reconcile: %w, %d times: find out who else writes to it, and try again when that is done (%w)", ErrNeverQuiet, restarts+1, err)
		}
		l.Say("the list changed while it was read: starting over (%d of %d)", restarts+1, l.Restarts)
		if restarts+1 == holdAfter && l.Hold != nil {
			if err := l.Hold(ctx); err != nil {
				return nil, err
			}
		}
		if err := l.Pause(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(2*pause, maxRestart)
	}
}

func (l Listing) withDefaults() Listing {
	if l.Restarts == 0 {
		l.Restarts = defaultRestarts
	}
	if l.Pause == nil {
		l.Pause = pauseFor
	}
	if l.Say == nil {
		l.Say = func(string, ...any) {}
	}
	if l.Logger == nil {
		l.Logger = slog.New(slog.DiscardHandler)
	}
	return l
}

// startsOver reports whether an error speaks of the pages that were read, not of the API: a
// list that changed, a cursor that is refused, a walk in a circle.
func startsOver(err error) bool {
	return client.Classify(err).Remedy == client.RestartListing || errors.Is(err, errCursor)
}

// errCursor is a listing that could not go on from where it was, for a reason that a new one
// may not meet.
var errCursor = errors.New("the API refused to go on from its own cursor")

func (l Listing) once(ctx context.Context) ([]client.Entry, error) {
	limit := l.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	var entries []client.Entry
	w, empty := client.NewWalk(client.ListOptions{Limit: limit}), 0
	for opts, done := w.Options(), false; !done; {
		page, err := l.page(ctx, opts)
		if first := opts.After == ""; err != nil && badRequest(err) {
			if first && l.Limit == 0 && limit > fallbackLimit {
				l.Limit = fallbackLimit
				return l.once(ctx)
			}
			if !first {
				err = fmt.Errorf("reconcile: %w: %w", errCursor, err)
			}
		}
		if err != nil {
			return nil, err
		}
		if empty++; stands(page, opts) && empty < pageEmpties {
			continue
		}
		empty = 0
		entries = append(entries, page.Entries...)
		if opts, done, err = w.Next(page); err != nil {
			return nil, fmt.Errorf("reconcile: %w: %w", errCursor, err)
		}
	}
	return entries, nil
}

// stands reports whether a page shows nobody, and leads on to itself: asked again, it may show
// whom it should.
func stands(p *client.Page, o client.ListOptions) bool {
	return len(p.Entries) == 0 && p.HasNext && o.After != "" && p.After == o.After
}

// badRequest reports whether the API calls a request for a page invalid, which a cursor that
// has expired or a limit that is too high is.
func badRequest(err error) bool {
	return client.Classify(err).Remedy == client.DeadLetter
}

// page asks for a page until it comes, or trying again has no point.
func (l Listing) page(ctx context.Context, opts client.ListOptions) (*client.Page, error) {
	for try := 1; ; try++ {
		grant, err := l.leave(ctx)
		if err != nil {
			return nil, err
		}
		page, err := l.API.ListPage(ctx, l.PhoneNumberID, opts)
		l.report(ctx, grant, page, err)
		if err == nil || ctx.Err() != nil {
			return page, err
		}
		if try >= triesOf(err) {
			return nil, err
		}
		pause := min(max(client.MetaOf(err).RetryAfter, time.Second<<(try-1)), maxPagePause)
		l.Say("the API did not serve a page (try %d of %d): waiting %v", try, triesOf(err), pause)
		if err := l.Pause(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func triesOf(err error) int {
	switch client.Classify(err).Remedy {
	case client.Retry:
		return pageTries
	case client.RateLimit, client.AccountRateLimit:
		return pageWaits
	default:
		return 1
	}
}

// leave waits for a token. Writes go first: while users wait a page stands back, but not for
// ever, or a busy number would never be listed.
func (l Listing) leave(ctx context.Context) (ratelimit.Grant, error) {
	const step = maxYield / 20
	for waited := time.Duration(0); l.Writes != nil && waited < maxYield && l.Writes(ctx); waited += step {
		if err := l.Pause(ctx, step); err != nil {
			return ratelimit.Grant{}, err
		}
	}
	if l.Limiter == nil {
		return ratelimit.Grant{}, ctx.Err()
	}
	for {
		grant, err := l.Limiter.Take(ctx, l.Key)
		if err != nil {
			return grant, fmt.Errorf("reconcile: ask for leave to call: %w", err)
		}
		if grant.OK {
			return grant, nil
		}
		if err := l.Pause(ctx, max(grant.Wait, time.Millisecond)); err != nil {
			return grant, err
		}
	}
}

func (l Listing) report(ctx context.Context, g ratelimit.Grant, page *client.Page, err error) {
	if l.Limiter == nil {
		return
	}
	meta := client.MetaOf(err)
	if page != nil {
		meta = page.Meta
	}
	remedy := client.Retry
	if err != nil {
		remedy = client.Classify(err).Remedy
	}
	o := ratelimit.Observation{
		Limited:      remedy == client.RateLimit || remedy == client.AccountRateLimit,
		Account:      remedy == client.AccountRateLimit,
		RetryAfter:   max(meta.RetryAfter, meta.Usage.RegainAccess),
		UsagePercent: meta.Usage.Percent(),
		Served:       err == nil,
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
	defer cancel()
	if err := l.Limiter.Report(ctx, l.Key, g, o); err != nil {
		l.Logger.Warn("reconcile: the limiter could not be told of a call", keyError, err.Error())
	}
}

// pauseFor returns when d has passed, or with the error of ctx.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
