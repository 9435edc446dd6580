// Package listing reads whole blocklists, and proves that they are whole: to their end, on a
// list that did not change meanwhile.
package listing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
)

// API is the part of the Block Users API that a listing uses; *client.Client is one.
type API interface {
	ListPage(ctx context.Context, phoneNumberID string, o client.ListOptions) (*client.Page, error)
}

// ErrUnstable is wrapped by the error of a listing that changes of the list broke each time:
// nothing is known then.
var ErrUnstable = errors.New("the blocklist changed during each listing")

// errCursor is a listing that could not go on from where it was, for a reason that a new one
// may not meet.
var errCursor = errors.New("the API refused to go on from its own cursor")

// The bounds of a listing.
const (
	pageTries       = 3  // of one page
	limitedTries    = 6  // of one page while the API limits the rate
	emptyTries      = 10 // of one page that is empty and leads on to itself
	maxPagePause    = time.Minute
	holdAfter       = 2 // restarts, after which wablock's own writes are held
	defaultRestarts = 8
	firstRestart    = 250 * time.Millisecond // pause before a restart; it doubles
	maxRestart      = 5 * time.Second
	defaultLimit    = 1000 // users a page; the API returns as many as it likes
	fallbackLimit   = 100  // when it refuses that
	maxWriteWait    = time.Second
	reportTimeout   = 2 * time.Second
)

// Config configures a listing. API and PhoneNumberID are required.
type Config struct {
	API           API
	PhoneNumberID string
	// Limiter has a token for each page; nil takes none.
	Limiter ratelimit.Limiter
	Key     ratelimit.Key
	// Hold is called once the list has changed under two listings: it stops wablock's own writes
	// until the listing has ended. nil holds nothing.
	Hold func(ctx context.Context) error
	// Writes reports whether users wait to be blocked or unblocked: a page waits for them, for
	// up to a second. nil for never.
	Writes func(ctx context.Context) bool
	// Limit is the number of users to ask for in a page. 0 means 1000, and 100 when the API refuses
	// that.
	Limit int
	// Restarts bounds the restarts. 0 means 8.
	Restarts int
	// Pause returns after a time, or with the error of the context. nil: on the clock.
	Pause func(ctx context.Context, d time.Duration) error
	// Say reports what takes long, in words for people. nil discards it.
	Say func(format string, args ...any)
	// Logger may be nil.
	Logger *slog.Logger
}

// Read returns the list, each entry once, when a listing reached its proven end on a list that
// did not change. When it changes each time the error matches ErrUnstable.
func Read(ctx context.Context, c Config) ([]client.Entry, error) {
	l := listing{Config: c}
	if l.Restarts == 0 {
		l.Restarts = defaultRestarts
	}
	if l.Pause == nil {
		l.Pause = PauseFor
	}
	if l.Say == nil {
		l.Say = func(string, ...any) {}
	}
	if l.Logger == nil {
		l.Logger = slog.New(slog.DiscardHandler)
	}
	return l.read(ctx)
}

// listing is one call of Read.
type listing struct{ Config }

func (l *listing) read(ctx context.Context) ([]client.Entry, error) {
	pause := firstRestart
	for restarts := 0; ; restarts++ {
		entries, err := l.once(ctx)
		if err == nil || !restartable(err) {
			return entries, err
		}
		if restarts == l.Restarts {
			return nil, fmt.Errorf("%w, %d times: find out which program writes to it, and try again when that is done (%w)", ErrUnstable, restarts+1, err)
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

// restartable reports whether an error is about the pages that were read, not about the API: a
// list that changed, a cursor that is refused, a walk in a circle.
func restartable(err error) bool {
	return client.Classify(err).Remedy == client.RestartListing || errors.Is(err, errCursor)
}

func (l *listing) once(ctx context.Context) ([]client.Entry, error) {
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
				err = fmt.Errorf("%w: %w", errCursor, err)
			}
		}
		if err != nil {
			return nil, err
		}
		if empty++; leadsToItself(page, opts) && empty < emptyTries {
			continue
		}
		empty = 0
		entries = append(entries, page.Entries...)
		if opts, done, err = w.Next(page); err != nil {
			return nil, fmt.Errorf("%w: %w", errCursor, err)
		}
	}
	return distinct(entries), nil
}

// distinct drops entries that came again: pages may overlap.
func distinct(entries []client.Entry) []client.Entry {
	type names struct{ waID, userID, parent string }
	seen := make(map[names]bool, len(entries))
	kept := entries[:0]
	for _, e := range entries {
		n := names{e.WaID, e.UserID, e.ParentUserID}
		if n != (names{}) && seen[n] {
			continue
		}
		seen[n] = true
		kept = append(kept, e)
	}
	return kept
}

// leadsToItself reports whether a page is empty and leads on to itself: the next try may have
// its users.
func leadsToItself(p *client.Page, o client.ListOptions) bool {
	return len(p.Entries) == 0 && p.HasNext && o.After != "" && p.After == o.After
}

// badRequest reports whether the API calls a request for a page invalid, which a cursor that
// has expired or a limit that is too high is.
func badRequest(err error) bool {
	return client.Classify(err).Remedy == client.DeadLetter
}

// page asks for a page until it comes, or another try has no point.
func (l *listing) page(ctx context.Context, opts client.ListOptions) (*client.Page, error) {
	for try := 1; ; try++ {
		grant, err := l.acquire(ctx)
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
		return limitedTries
	default:
		return 1
	}
}

// acquire waits for a token. Writes go first: while users wait a page waits too, for a bounded
// time, or a busy number would never be listed.
func (l *listing) acquire(ctx context.Context) (ratelimit.Grant, error) {
	const step = maxWriteWait / 20
	for waited := time.Duration(0); l.Writes != nil && waited < maxWriteWait && l.Writes(ctx); waited += step {
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
			return grant, fmt.Errorf("listing: take a token: %w", err)
		}
		if grant.OK {
			return grant, nil
		}
		if err := l.Pause(ctx, max(grant.Wait, time.Millisecond)); err != nil {
			return grant, err
		}
	}
}

func (l *listing) report(ctx context.Context, g ratelimit.Grant, page *client.Page, err error) {
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer cancel()
	if err := l.Limiter.Report(ctx, l.Key, g, o); err != nil {
		l.Logger.Warn("listing: reporting a call to the limiter failed", "error", err.Error())
	}
}

// PauseFor returns when d has passed, or with the cause of ctx.
func PauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
