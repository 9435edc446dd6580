package simulator

import (
	"net/url"
	"strconv"
)

// pageRequest holds the parameters of a listing. limit is within bounds.
type pageRequest struct {
	limit         int
	after, before *cursor
}

func (p pageRequest) hasCursor() bool { return p.after != nil || p.before != nil }

// span places the page on a list of this size.
func (p pageRequest) span(size int) span {
	at := span{size: size}
	switch {
	case p.after != nil:
		at.from = min(p.after.Offset+1, size)
	case p.before != nil:
		at.to = min(max(p.before.Offset, 0), size)
		at.from = max(at.to-p.limit, 0)
		return at
	}
	at.to = min(at.from+p.limit, size)
	return at
}

func readPage(set *settings, query url.Values) (pageRequest, *apiError) {
	p := pageRequest{limit: set.Listing.DefaultLimit}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, badRequest("Param limit must be a positive integer")
		}
		if n > set.Listing.MaxLimit && set.Listing.RefuseOverMax {
			return p, badRequest("Param limit must be at most %d", set.Listing.MaxLimit)
		}
		p.limit = min(n, set.Listing.MaxLimit)
	}
	for name, to := range map[string]**cursor{"after": &p.after, "before": &p.before} {
		if text := query.Get(name); text != "" {
			c, err := parseCursor(text)
			if err != nil {
				return p, badRequest("Param %s is not a cursor", name)
			}
			*to = &c
		}
	}
	if p.after != nil && p.before != nil {
		return p, badRequest("Params after and before exclude each other")
	}
	return p, nil
}

// span is the part of the list that a page shows, and what lies around it.
type span struct {
	from, to, size int
}
