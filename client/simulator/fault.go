package simulator

import (
	"net/http"
	"slices"
)

// Effect is the kind of a fault.
type Effect string

// The effects that hit a call. With Fault.Applied the call takes effect first.
const (
	EffectFail  Effect = "fail"  // an error for the whole call: Code, Status, Message, Details
	EffectReset Effect = "reset" // the connection is cut without an answer
	EffectHang  Effect = "hang"  // no answer until the client leaves
	EffectHTML  Effect = "html"  // a gateway's error page with Status (0: 502)
	EffectEmpty Effect = "empty" // Status (0: 200) and no body
)

// The effects that spoil the answer of a call that was carried out.
const (
	EffectTruncated Effect = "truncated"  // half of the JSON in a complete HTTP answer
	EffectCut       Effect = "cut"        // the connection is cut halfway through the answer
	EffectEmptyPage Effect = "empty_page" // List: no entries, but cursors that lead on
	EffectDelay     Effect = "delay"      // Delay more; other faults may hit the same call
)

// The effects that hit single users of a block or unblock; the others go their way.
const (
	EffectFailUser Effect = "fail_user" // Code (0: 139103) in failed_users, nothing changed
	EffectOmitUser Effect = "omit_user" // in neither list; with Applied the change is made
)

// EffectListChanged, of List, gives the list a new version, so that this call, if it has a
// cursor, and every cursor handed out so far fail with 139102.
const EffectListChanged Effect = "list_changed"

var (
	anyEffects  = []Effect{EffectFail, EffectReset, EffectHang, EffectHTML, EffectEmpty, EffectTruncated, EffectCut, EffectDelay}
	listEffects = []Effect{EffectEmptyPage, EffectListChanged}
	userEffects = []Effect{EffectFailUser, EffectOmitUser}
)

// Effects returns all effects.
func Effects() []Effect { return slices.Concat(anyEffects, userEffects, listEffects) }

func (e Effect) ofListing() bool { return slices.Contains(listEffects, e) }

// CodeZero in Fault.Code stands for the API's code 0 (authentication failed): 0 there is the usual
// code of the effect.
const CodeZero = -1

// Fault is something that goes wrong: Effect, for what matches, as often as Skip, Every, Times
// and Probability say. For effects on users these count users, for the others they count calls.
type Fault struct {
	// Name shows in the journal. Empty: the effect.
	Name string `json:"name,omitempty"`

	// What it matches; what is empty matches all. For effects on a call, Users matches a call
	// that carries one of them: "one bad user sinks the call". A listing carries no user.
	Operations     []Operation `json:"operations,omitempty"`
	PhoneNumberIDs []string    `json:"phone_number_ids,omitempty"`
	Users          []string    `json:"users,omitempty"`
	// WithCursor matches only listings that go on from a cursor, and makes the fault one of
	// listings alone.
	WithCursor bool `json:"with_cursor,omitempty"`

	// Skip lets the first ones pass, Every then takes every Nth (0 or 1: each), Probability
	// (0 means 1) throws a die, and Times ends it after that many hits (0: never).
	Skip        int     `json:"skip,omitempty"`
	Every       int     `json:"every,omitempty"`
	Times       int     `json:"times,omitempty"`
	Probability float64 `json:"probability,omitempty"`

	Effect  Effect `json:"effect"`
	Applied bool   `json:"applied,omitempty"`
	// Code, Status (0: the usual one of the code), Subcode, Message and Details (empty: the
	// usual ones) and Transient make up the error.
	Code      int      `json:"code,omitempty"`
	Subcode   int      `json:"subcode,omitempty"`
	Status    int      `json:"status,omitempty"`
	Message   string   `json:"message,omitempty"`
	Details   string   `json:"details,omitempty"`
	Transient bool     `json:"transient,omitempty"`
	Delay     Duration `json:"delay,omitempty"`
}

func (f Fault) withDefaults() Fault {
	def(&f.Name, string(f.Effect))
	def(&f.Every, 1)
	def(&f.Probability, 1)
	switch f.Effect {
	case EffectFail:
		def(&f.Code, 1)
		def(&f.Status, statusOf(f.code()))
	case EffectFailUser:
		def(&f.Code, codeInternal)
	case EffectHTML:
		def(&f.Status, http.StatusBadGateway)
	case EffectEmpty:
		def(&f.Status, http.StatusOK)
	}
	return f
}

// code returns the code of the error on the wire.
func (f *Fault) code() int { return max(f.Code, 0) }

func (f *Fault) onUsers() bool { return slices.Contains(userEffects, f.Effect) }

// replaces reports whether the fault has an answer of its own, or none, so that the call need
// not take effect.
func (f *Fault) replaces() bool {
	switch f.Effect {
	case EffectFail, EffectReset, EffectHang, EffectHTML, EffectEmpty:
		return true
	}
	return false
}

// apiError returns the error of the fault.
func (f *Fault) apiError() *apiError {
	e := newAPIError(f.code(), f.Details)
	e.Status, e.Subcode = f.Status, f.Subcode
	if f.Message != "" {
		e.Message = f.Message
	}
	e.Transient = e.Transient || f.Transient
	return e
}
