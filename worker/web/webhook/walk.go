package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// maxEvents bounds the events of one body. Meta sends at most 1,000 updates at once; a body of 4 MiB could hold
// many more.
const maxEvents = 20_000

// ErrUnreadable is returned for a body that is not a JSON object.
var ErrUnreadable = errors.New("the body is not a JSON object")

// object names webhooks of a WhatsApp account; an app may be subscribed to others.
const object = "whatsapp_business_account"

// list is a JSON list whose elements are read one by one, so that a bad one spoils no other. What is not a list is
// an empty one with a fault.
type list struct {
	items []json.RawMessage
	fault bool
}

func (l *list) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	l.fault = json.Unmarshal(text, &l.items) != nil
	return nil
}

// word is a string. What is not one is "".
type word string

func (w *word) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*w = word(s)
	}
	return nil
}

// instant is a time in Unix seconds, as a string or a number. What is not one is zero.
type instant struct{ time.Time }

func (i *instant) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(text, `"`)), 10, 64)
	if err == nil && n > 0 && n < 1<<40 {
		i.Time = time.Unix(n, 0).UTC()
	}
	return nil
}

type (
	entry struct {
		Changes list `json:"changes"`
	}
	change struct {
		Field word            `json:"field"`
		Value json.RawMessage `json:"value"`
	}
	value struct {
		Metadata metadata        `json:"metadata"`
		Contacts list            `json:"contacts"`
		Messages list            `json:"messages"`
		Statuses list            `json:"statuses"`
		Calls    list            `json:"calls"`
		History  list            `json:"history"`
		Standby  json.RawMessage `json:"standby"`
		Echoes   list            `json:"message_echoes"`
	}
	metadata struct {
		PhoneNumberID word `json:"phone_number_id"`
		Display       word `json:"display_phone_number"`
	}
	contact struct {
		WaID   word `json:"wa_id"`
		UserID word `json:"user_id"`
	}
	message struct {
		From       word            `json:"from"`
		FromUserID word            `json:"from_user_id"`
		Timestamp  instant         `json:"timestamp"`
		Type       word            `json:"type"`
		GroupID    word            `json:"group_id"`
		System     json.RawMessage `json:"system"`
	}
	system struct {
		Type           word `json:"type"`
		WaID           word `json:"wa_id"`
		UserID         word `json:"user_id"`
		PreviousUserID word `json:"previous_user_id"`
	}
	status struct {
		RecipientID     word `json:"recipient_id"`
		RecipientUserID word `json:"recipient_user_id"`
	}
	call struct {
		From       word    `json:"from"`
		FromUserID word    `json:"from_user_id"`
		Timestamp  instant `json:"timestamp"`
		Direction  word    `json:"direction"`
	}
	chunk struct {
		Threads list `json:"threads"`
	}
	thread struct {
		Context contact `json:"context"`
	}
)

// Walk tells each event of a body, in the order in which they stand there, and counts the rest. What can't be read
// is passed over by itself. The error is ErrUnreadable, for a body that is not a webhook at all.
func Walk(body []byte, each func(Event)) (Counts, error) {
	var top struct {
		Object word `json:"object"`
		Entry  list `json:"entry"`
	}
	if json.Unmarshal(body, &top) != nil || len(bytes.TrimSpace(body)) == 0 || bytes.TrimSpace(body)[0] != '{' {
		return Counts{Unreadable: 1}, ErrUnreadable
	}
	w := &walk{each: each, left: maxEvents}
	if top.Object != object {
		w.counts.Ignored++
		return w.counts, nil
	}
	for e := range read[entry](w, top.Entry) {
		for c := range read[change](w, e.Changes) {
			w.change(c)
		}
	}
	return w.counts, nil
}

// walk is one run of Walk.
type walk struct {
	each   func(Event)
	counts Counts
	left   int // events
}

// read yields the elements of a list that can be read.
func read[T any](w *walk, l list) func(func(T) bool) {
	return func(yield func(T) bool) {
		if l.fault {
			w.counts.Unreadable++
		}
		for _, text := range l.items {
			var v T
			if string(text) == "null" || json.Unmarshal(text, &v) != nil {
				w.counts.Unreadable++
				continue
			}
			if !yield(v) {
				return
			}
		}
	}
}

func (w *walk) change(c change) {
	var v value
	if json.Unmarshal(c.Value, &v) != nil {
		w.counts.Unreadable++
		return
	}
	switch c.Field {
	case "standby": // what comes while an agent of Meta's answers the conversation
		if len(v.Standby) > 0 {
			inner := value{}
			if json.Unmarshal(v.Standby, &inner) != nil {
				w.counts.Unreadable++
				return
			}
			inner.Metadata = v.Metadata
			v = inner
		}
		w.messages(v)
	case "messages":
		w.messages(v)
	case "calls":
		w.calls(v)
	case "history":
		w.history(v)
	default:
		w.counts.Ignored++
	}
}

// people finds the names that the contacts of a value tell for one of them.
type people struct{ byWaID, byUserID map[word]contact }

func (w *walk) people(v value) people {
	p := people{map[word]contact{}, map[word]contact{}}
	for c := range read[contact](w, v.Contacts) {
		if c.WaID != "" {
			p.byWaID[c.WaID] = c
		}
		if c.UserID != "" {
			p.byUserID[c.UserID] = c
		}
	}
	return p
}

// names returns both names of a person: never by place, since contacts may come in another order.
func (p people) names(waID, userID word) (string, string) {
	if userID != "" && waID == "" {
		waID = p.byUserID[userID].WaID
	}
	if userID == "" && waID != "" {
		userID = p.byWaID[waID].UserID
	}
	return string(waID), string(userID)
}

func (w *walk) messages(v value) {
	p := w.people(v)
	for m := range read[message](w, v.Messages) {
		e := Event{PhoneNumberID: string(v.Metadata.PhoneNumberID), Kind: Message, At: m.Timestamp.Time}
		e.WaID, e.UserID = p.names(m.From, m.FromUserID)
		switch {
		case m.From != "" && m.From == v.Metadata.Display: // of the business itself
			w.counts.Ignored++
			continue
		case m.Type == "system":
			w.system(e, m)
			continue
		case m.GroupID != "" || m.Type == "request_welcome": // a chat that was opened
			e.Kind = Identity
		case m.Type == "reaction" || m.Type == "edit" || m.Type == "revoke":
			e.Kind = Weak
		}
		w.tell(e)
	}
	for s := range read[status](w, v.Statuses) {
		e := Event{PhoneNumberID: string(v.Metadata.PhoneNumberID), Kind: Identity}
		e.WaID, e.UserID = p.names(s.RecipientID, s.RecipientUserID)
		if e.WaID == "" && e.UserID == "" {
			w.counts.Ignored++
			continue
		}
		w.tell(e)
	}
	w.counts.Ignored += len(v.Echoes.items)
}

// system tells a change of a person's names. The body is prose, and not read.
func (w *walk) system(e Event, m message) {
	var s system
	if json.Unmarshal(m.System, &s) != nil {
		w.counts.Unreadable++
		return
	}
	if s.Type != "user_changed_number" && s.Type != "user_changed_user_id" {
		w.counts.Ignored++
		return
	}
	e.Kind = Change
	e.PreviousUserID, e.UserID = string(s.PreviousUserID), string(s.UserID)
	e.PreviousWaID, e.WaID = "", string(s.WaID)
	if s.Type == "user_changed_number" {
		e.PreviousWaID = string(m.From)
	}
	w.tell(e)
}

func (w *walk) calls(v value) {
	p := w.people(v)
	for c := range read[call](w, v.Calls) {
		if c.Direction != "USER_INITIATED" {
			w.counts.Ignored++
			continue
		}
		e := Event{PhoneNumberID: string(v.Metadata.PhoneNumberID), Kind: Weak, At: c.Timestamp.Time}
		e.WaID, e.UserID = p.names(c.From, c.FromUserID)
		w.tell(e)
	}
	w.counts.Ignored += len(v.Statuses.items)
}

// history tells the persons of threads; their messages may be months old, and open nothing.
func (w *walk) history(v value) {
	for c := range read[chunk](w, v.History) {
		for t := range read[thread](w, c.Threads) {
			w.tell(Event{
				PhoneNumberID: string(v.Metadata.PhoneNumberID), Kind: Identity,
				WaID: string(t.Context.WaID), UserID: string(t.Context.UserID),
			})
		}
	}
}

// tell passes on an event that names a person and a phone number ID.
func (w *walk) tell(e Event) {
	named := e.WaID != "" || e.UserID != ""
	switch {
	case e.PhoneNumberID == "" || !named || w.left == 0:
		w.counts.Unreadable++
	default:
		w.left--
		w.each(e)
	}
}
