package client

import (
	"context"
	"errors"
	"iter"
)

// defaultLimit of a listing: what the Graph API is known to give at most on edges like this.
const defaultLimit = 100

// The bounds of a walk. A list holds at most 64,000 users; what goes far beyond that is a
// fault that would otherwise page for ever.
const (
	maxEntries    = 2 * 64_000
	maxPages      = 2 * 64_000
	maxEmptyPages = 100 // in a row
)

var (
	errLoop    = errors.New("client: the listing runs in a circle: a cursor came again; list again from the start")
	errEndless = errors.New("client: the listing does not end: more pages than a full blocklist can have; list again from the start")
	errNoWay   = errors.New("client: the listing can't go on: another page was announced without a cursor; list again from the start")
)

// Walk leads a listing from page to page, to the proven end, for callers
// that send each page themselves. Make one with [NewWalk]; it is for one listing and one
// goroutine.
//
// The API ends a list by naming no next page. Pages may be short, or empty, before the end.
// But no sample of this API shows a next page being named at all, so a full page with a
// cursor and no next is not believed: the cursor is tried, and the same rule applies to what
// comes.
type Walk struct {
	opts    ListOptions
	used    map[string]struct{} // cursors
	entries int
	pages   int
	empty   int // in a row
}

// NewWalk starts a listing at o.
func NewWalk(o ListOptions) *Walk {
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	w := &Walk{opts: o, used: make(map[string]struct{})}
	w.used[o.After+o.Before] = struct{}{}
	return w
}

// Options returns the options of the next page to request.
func (w *Walk) Options() ListOptions { return w.opts }

// Next takes the page that was requested with Options. It returns the options of the next page,
// or done when the list has ended. An error means that the listing runs in a circle or without
// an end; there is then no whole list.
func (w *Walk) Next(p *Page) (opts ListOptions, done bool, err error) {
	cursor, named := p.After, p.HasNext
	if w.opts.Before != "" {
		cursor, named = p.Before, p.HasPrevious
	}
	full := w.full(len(p.Entries))
	w.count(len(p.Entries))
	switch _, again := w.used[cursor]; {
	case !named && (!full || cursor == ""):
		return w.opts, true, nil
	case cursor == "":
		return w.opts, false, errNoWay
	case again:
		return w.opts, false, errLoop
	case w.entries > maxEntries, w.pages >= maxPages, w.empty > maxEmptyPages:
		return w.opts, false, errEndless
	}
	w.used[cursor] = struct{}{}
	if w.opts.Before != "" {
		w.opts.Before = cursor
	} else {
		w.opts.After = cursor
	}
	return w.opts, false, nil
}

func (w *Walk) count(n int) {
	w.pages++
	w.entries += n
	w.empty++
	if n > 0 {
		w.empty = 0
	}
}

// full reports whether a page of n may have been cut by a limit: ours, or a lower one of the
// API's own, which it does not publish but which will be a round number.
func (w *Walk) full(n int) bool {
	return n > 0 && (n >= w.opts.Limit || n%25 == 0)
}

// List yields the blocked users of a business phone number, page by page as they are consumed, to
// the proven end of the list (see [Walk]). The first error ends it; what was yielded before is
// then not a whole list. [Classify] returns RestartListing when the list was changed meanwhile.
func (c *Client) List(ctx context.Context, phoneNumberID string, o ListOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := NewWalk(o)
		for opts, done := w.Options(), false; !done; {
			page, err := c.ListPage(ctx, phoneNumberID, opts)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if opts, done, err = w.Next(page); err != nil {
				yield(Entry{}, err)
				return
			}
		}
	}
}
