package simulator

import (
	"net/http"
	"net/url"
	"strconv"
)

// listing adds the steps that only a listing has.
type listing struct{ *exchange }

// answerListing reads a page of the list, and writes the answer.
func answerListing(x *exchange) answer {
	l := listing{x}
	entries, at, version, fail := l.read()
	if fail != nil {
		return answerError(x, fail)
	}
	page := wirePage{Data: entries}
	if x.set.Listing.OlderShape {
		page.Data = []any{map[string]any{"block_users": entries}}
	}
	page.Paging = l.paging(at, version, len(entries) > 0)
	return answer{status: http.StatusOK, contentType: jsonType, header: headers(x, nil), body: encodeJSON(page)}
}

type wirePage struct {
	Data   any         `json:"data"`
	Paging *wirePaging `json:"paging,omitempty"`
}

type wirePaging struct {
	Cursors  *wireCursors `json:"cursors,omitempty"`
	Previous string       `json:"previous,omitempty"`
	Next     string       `json:"next,omitempty"`
}

type wireCursors struct {
	After  string `json:"after"`
	Before string `json:"before"`
}

// wireEntry is a listed user; Input only in the older shape.
type wireEntry struct {
	Product      string `json:"messaging_product,omitempty"`
	Input        string `json:"input,omitempty"`
	WaID         string `json:"wa_id,omitempty"`
	UserID       string `json:"user_id,omitempty"`
	ParentUserID string `json:"parent_user_id,omitempty"`
}

// read takes a page out of the list as listings see it.
func (x listing) read() ([]wireEntry, span, int64, *apiError) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	list := x.n.list.view(x.s.now())
	for _, c := range []*cursor{x.req.page.after, x.req.page.before} {
		if c != nil && c.Version != newCursor(0, list.version).Version {
			e := newAPIError(codeListChanged, "")
			e.Status = x.set.Listing.ChangedStatus
			return nil, span{}, 0, e
		}
	}
	members := list.members()
	at := x.req.page.span(len(members))
	if f := x.plan.fault; f != nil && f.Effect == EffectEmptyPage {
		at.to = at.from
	}
	entries := make([]wireEntry, 0, at.to-at.from)
	for i := at.from; i < at.to; i++ {
		key := members[i]
		if x.set.Listing.NewestFirst {
			key = members[len(members)-1-i]
		}
		entries = append(entries, entryOf(x.set, key))
	}
	x.call.Entries = len(entries)
	return entries, at, list.version, nil
}

func entryOf(set *settings, key string) wireEntry {
	var e wireEntry
	if !isUserID(key) {
		e.WaID = key
	}
	if e.WaID == "" || !set.Listing.OmitUserIDs {
		e.UserID = set.directory.userIDOf(key)
		if u := set.directory.byKey[key]; u != nil {
			e.ParentUserID = u.ParentUserID
		}
	}
	if e.UserID != "" && (set.Listing.UserIDsAlone || set.directory.usernameOf(key) != "") {
		e.WaID = ""
	}
	if set.Listing.OlderShape {
		e.Input = key
	} else {
		e.Product = "whatsapp"
	}
	return e
}

// paging leads to the neighbours of a page. An empty page has none, except the one that a
// fault emptied: its cursors lead to what it should have shown.
func (x listing) paging(at span, version int64, entries bool) *wirePaging {
	if !entries && at.from >= at.size {
		return nil
	}
	last := max(at.to-1, at.from)
	if !entries {
		last = at.from - 1
	}
	after, before := newCursor(last, version).String(), newCursor(at.from, version).String()
	p := &wirePaging{Cursors: &wireCursors{After: after, Before: before}}
	if x.set.Listing.OmitNext {
		return p
	}
	if at.to < at.size {
		p.Next = x.pageURL("after", after)
	}
	if at.from > 0 {
		p.Previous = x.pageURL("before", before)
	}
	return p
}

// pageURL is the absolute URL of a neighbouring page, under whatever prefix the simulator is
// served. It holds no token.
func (x listing) pageURL(direction, cursor string) string {
	path := x.r.URL.Path
	if u, err := url.ParseRequestURI(x.r.RequestURI); err == nil {
		path = u.Path // http.StripPrefix leaves this alone
	}
	scheme := "http"
	if x.r.TLS != nil {
		scheme = "https"
	}
	query := url.Values{"limit": {strconv.Itoa(x.req.page.limit)}, direction: {cursor}}
	u := url.URL{Scheme: scheme, Host: x.r.Host, Path: path, RawQuery: query.Encode()}
	return u.String()
}
