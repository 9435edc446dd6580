package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

const jsonType = "application/json; charset=UTF-8"

// defaultVersion answers callers whose path names no version.
const defaultVersion = "v25.0"

// answer holds what the caller gets, until it is sent: a fault may still change it.
type answer struct {
	status      int
	code        int // at its top, for the journal
	header      http.Header
	contentType string
	body        []byte
	aborted     bool // the connection is cut before the first byte
	cut         bool // … halfway through the body
}

// send writes the answer. The call is over for the journal.
func (a *answer) send(w http.ResponseWriter, r *http.Request) {
	if a.aborted {
		abort(w)
		return
	}
	h := w.Header()
	maps.Copy(h, a.header)
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead {
		return
	}
	if !a.cut {
		_, _ = w.Write(a.body) // the client may be gone
		return
	}
	_, _ = w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(w).Flush()
	abort(w)
}

// abort cuts the connection: by a reset on TCP, else by closing it. Where the server can't hand
// out the connection (HTTP/2) it aborts the handler in the way that net/http has for that.
func abort(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// answerError returns the answer to a call that failed as a whole.
func answerError(x *exchange, e *apiError) answer {
	body := wireAnswer{Error: e.wire(x.set.Answers, x.trace)}
	if e.Code == codeListChanged {
		body.Product = "whatsapp"
	}
	return answer{status: e.Status, code: e.Code, header: headers(x, e), contentType: jsonType, body: encodeJSON(body)}
}

// headers returns the headers of an answer. e is the error at its top, if any.
func headers(x *exchange, e *apiError) http.Header {
	version := x.set.APIVersion
	def(&version, x.req.version)
	def(&version, defaultVersion)
	h := http.Header{
		"Facebook-Api-Version": {version},
		"X-Fb-Trace-Id":        {x.trace},
		"X-Fb-Request-Id":      {x.trace},
		"Cache-Control":        {"private, no-cache, no-store, must-revalidate"},
	}
	if x.n == nil {
		return h
	}
	if !x.set.Answers.OmitUsage {
		h.Set("X-Business-Use-Case-Usage", businessUsage(x))
	}
	if x.set.Answers.AppUsage {
		h.Set("X-App-Usage", fmt.Sprintf(`{"call_count":%d,"total_cputime":1,"total_time":1}`, x.usage.percent))
	}
	if x.set.Answers.RetryAfter && x.usage.wait > 0 && e != nil {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(min(x.usage.wait, time.Hour).Seconds())), 10))
	}
	return h
}

// businessUsage returns the share of the budget that is spent, in percent, and the whole minutes
// until there is some again.
func businessUsage(x *exchange) string {
	regain := int(min(x.usage.wait, 24*time.Hour).Minutes())
	return fmt.Sprintf(`{"%s":[{"type":"whatsapp_business_management","call_count":%d,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":%d}]}`,
		x.n.account, x.usage.percent, regain)
}

// wireAnswer is the body of an answer to a block or unblock, or of an error alone.
type wireAnswer struct {
	Product string     `json:"messaging_product,omitempty"`
	Lists   *wireLists `json:"block_users,omitempty"`
	Error   *wireError `json:"error,omitempty"`
}

type wireLists struct {
	Added   []wireOutcome `json:"added_users,omitzero"`
	Removed []wireOutcome `json:"removed_users,omitzero"`
	Failed  []wireOutcome `json:"failed_users,omitzero"`
}

type wireOutcome struct {
	Input  string          `json:"input"`
	WaID   string          `json:"wa_id,omitempty"`
	UserID string          `json:"user_id,omitempty"`
	Errors []wireUserError `json:"errors,omitempty"`
}

type wireUserError struct {
	Message string        `json:"message"`
	Code    any           `json:"code"`
	Data    wireErrorData `json:"error_data"`
}

// encodeJSON encodes structs of this package, which can't fail.
func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("{}")
	}
	return b
}

// answerVerdicts writes the answer of a block or unblock: the lists, and an error if a user failed.
func answerVerdicts(x *exchange, vs []verdict) answer {
	a := x.set.Answers
	order := make([]int, len(vs))
	for i := range order {
		order[i] = i
	}
	if a.Shuffle {
		x.s.mu.Lock()
		x.n.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		x.s.mu.Unlock()
	}
	var good, bad []wireOutcome
	if a.EmptyLists {
		good, bad = []wireOutcome{}, []wireOutcome{}
	}
	for _, i := range order {
		switch vs[i].outcome {
		case OutcomeSucceeded:
			good = append(good, outcomeOf(&x.req.people[i]))
		case OutcomeFailed:
			o := outcomeOf(&x.req.people[i])
			if x.req.people[i].gone {
				o.WaID = "" // not on WhatsApp
			}
			message, details := codeText(vs[i].code)
			o.Errors = []wireUserError{{Message: message, Code: wireCode(vs[i].code, a), Data: wireErrorData{Details: details}}}
			bad = append(bad, o)
		}
	}
	body := wireAnswer{Product: "whatsapp", Lists: &wireLists{Added: good, Failed: bad}}
	if x.req.op == Unblock && !a.UnblockAdds {
		body.Lists.Added, body.Lists.Removed = nil, good
	}
	ans := answer{status: http.StatusOK, contentType: jsonType, header: headers(x, nil)}
	if len(bad) > 0 {
		ans.status, ans.code = a.MixedStatus, codeSomeFailed
		e := newAPIError(codeSomeFailed, fmt.Sprintf("Failed to %s some users, see the block_users response list for details", x.req.op))
		e.Message = "(#139100) Failed to block/unblock users"
		body.Error = e.wire(a, x.trace)
	}
	ans.body = encodeJSON(body)
	return ans
}

func outcomeOf(p *person) wireOutcome {
	o := wireOutcome{Input: p.input}
	switch {
	case p.byID:
		o.UserID = p.name
	case !p.bad:
		o.WaID = p.waID
	}
	return o
}
