package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
)

// ListOptions set the start of a listing and the size of its pages. Cursors are opaque, are valid
// as long as the list does not change, and must not be stored.
type ListOptions struct {
	// Limit is the number of users to ask for in one page; 0 leaves it to the API in
	// [Client.ListPage] and means 100 in [Client.List]. The API may give fewer.
	Limit int
	// After and Before are cursors of a [Page]; at most one may be set. With Before a
	// listing runs backwards.
	After, Before string
}

// Entry is one blocked user as the API lists it. It prints masked.
type Entry struct {
	WaID         string // WhatsApp ID: digits; may be "" for a user known by user ID alone
	UserID       string // business-scoped user ID, when the API gives it
	ParentUserID string
	// Raw is the whole entry, with whatever else the API returns.
	Raw json.RawMessage
}

// masked stands for an entry wherever it is printed.
const masked = "(blocked user)"

// Format masks under every verb.
func (e Entry) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// MarshalText masks: an Entry does not leave by encoding/json; its fields and Raw may.
func (e Entry) MarshalText() ([]byte, error) { return []byte(masked), nil }

// LogValue masks.
func (e Entry) LogValue() slog.Value { return slog.StringValue(masked) }

// Page is one page of a blocklist.
type Page struct {
	Entries []Entry
	// After and Before are the cursors of the page's end and start, "" when not given. They
	// may be given on the last page too.
	After, Before string
	// HasNext and HasPrevious are set when the API named another page in that direction.
	HasNext, HasPrevious bool
	Meta                 Meta
}

// ListPage requests one page. Its errors are those of [Client.Block]. An answer without a list of
// users is an error, never an empty page, since users are unblocked by what a listing lacks.
func (c *Client) ListPage(ctx context.Context, phoneNumberID string, o ListOptions) (*Page, error) {
	query, err := o.query()
	if err != nil {
		return nil, err
	}
	a, err := c.send(ctx, http.MethodGet, phoneNumberID, query, nil)
	if err != nil {
		return nil, err
	}
	return readPage(a)
}

func (o ListOptions) query() (url.Values, error) {
	if o.Limit < 0 || o.After != "" && o.Before != "" {
		return nil, fmt.Errorf("%w: a listing takes a limit from 0 up, and one of after and before", ErrInvalidRequest)
	}
	query := url.Values{}
	if o.Limit > 0 {
		query.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.After != "" {
		query.Set("after", o.After)
	}
	if o.Before != "" {
		query.Set("before", o.Before)
	}
	return query, nil
}

type wirePage struct {
	Data   []json.RawMessage `json:"data"` // nil when absent, null or not a list
	Paging struct {
		Cursors struct {
			After  string `json:"after"`
			Before string `json:"before"`
		} `json:"cursors"`
		Next     string `json:"next"`
		Previous string `json:"previous"`
	} `json:"paging"`
	Error json.RawMessage `json:"error"`
}

// wireEntry is an entry of a page; by Meta's page of October 2025 it holds a list of them.
type wireEntry struct {
	WaID         text              `json:"wa_id"`
	UserID       text              `json:"user_id"`
	ParentUserID text              `json:"parent_user_id"`
	BlockUsers   []json.RawMessage `json:"block_users"`
}

func readPage(a answer) (*Page, error) {
	var w wirePage
	if err := decode(a, &w); err != nil {
		return nil, err
	}
	if failure := wholeCall(w.Error, &a.meta); failure != nil {
		return nil, failure
	}
	if w.Data == nil || a.meta.Status >= 300 {
		return nil, &ResponseError{What: "JSON that is not a page of users", Meta: a.meta}
	}
	p := &Page{
		After:       w.Paging.Cursors.After,
		Before:      w.Paging.Cursors.Before,
		HasNext:     w.Paging.Next != "",
		HasPrevious: w.Paging.Previous != "",
		Meta:        a.meta,
	}
	if p.After == "" {
		p.After = cursorOf(w.Paging.Next, "after")
	}
	if p.Before == "" {
		p.Before = cursorOf(w.Paging.Previous, "before")
	}
	for _, raw := range w.Data {
		entries, ok := readEntries(raw)
		if !ok {
			return nil, &ResponseError{What: "a page whose entries are not users", Meta: a.meta}
		}
		p.Entries = append(p.Entries, entries...)
	}
	return p, nil
}

// cursorOf takes a cursor out of a link to another page. The link itself is never followed:
// it may hold a token, and point anywhere.
func cursorOf(link, name string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}

func readEntries(raw json.RawMessage) (entries []Entry, ok bool) {
	var w wireEntry
	_ = json.Unmarshal(raw, &w) // raw is JSON; fields of other types are missing ones
	if raw[0] != '{' {
		return nil, false
	}
	if w.WaID == "" && w.UserID == "" && bytes.Contains(raw, []byte(`"block_users"`)) {
		for _, inner := range w.BlockUsers {
			nested, ok := readEntries(inner)
			if !ok {
				return nil, false
			}
			entries = append(entries, nested...)
		}
		return entries, true
	}
	return []Entry{{WaID: string(w.WaID), UserID: string(w.UserID), ParentUserID: string(w.ParentUserID), Raw: raw}}, true
}

// Check requests one entry of the list, the cheapest call that needs both a good token and a good
// phone number ID. Its error wraps that of the call, and adds the help of its rule.
func (c *Client) Check(ctx context.Context, phoneNumberID string) error {
	_, err := c.ListPage(ctx, phoneNumberID, ListOptions{Limit: 1})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w. %s", err, Classify(err).Help)
}
