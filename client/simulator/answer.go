package simulator

import (
	"encoding/base64"
	"encoding/binary"
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

// answer is what goes back to the client.
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
		_, _ = w.Write(a.body) // whether the client still listens is its own affair
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

// failed is the answer to a call that failed as a whole.
func (x *exchange) failed(e *apiError) answer {
	return answer{
		status: e.Status, code: e.Code, header: x.header(e), contentType: jsonType,
		body: e.body(x.set.Answers, x.trace),
	}
}

// header makes the headers that come with every answer. e is the error at its top, if any.
func (x *exchange) header(e *apiError) http.Header {
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
		h.Set("X-Business-Use-Case-Usage", x.businessUsage())
	}
	if x.set.Answers.AppUsage {
		h.Set("X-App-Usage", fmt.Sprintf(`{"call_count":%d,"total_cputime":1,"total_time":1}`, x.usage.percent))
	}
	if x.set.Answers.RetryAfter && x.usage.wait > 0 && e != nil {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(min(x.usage.wait, time.Hour).Seconds())), 10))
	}
	return h
}

// businessUsage is the share of the budget that is spent, in percent, and the whole minutes
// until there is some again.
func (x *exchange) businessUsage() string {
	regain := int(min(x.usage.wait, 24*time.Hour).Minutes())
	return fmt.Sprintf(`{"%s":[{"type":"whatsapp_business_management","call_count":%d,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":%d}]}`,
		x.n.account, x.usage.percent, regain)
}

// traceID makes an identifier that looks like Meta's out of the call's number.
func (s *Simulator) traceID(seq int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], mix(s.set.Seed^uint64(seq)<<1))
	return "A" + base64.RawURLEncoding.EncodeToString(b[:])
}

// verdicts writes the answer of a block or unblock: lists, and if somebody failed an error.
func (x *exchange) verdicts(vs []verdict) answer {
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
	good := make([]byte, 0, 64*len(vs))
	var bad []byte
	for _, i := range order {
		switch vs[i].outcome {
		case OutcomeSucceeded:
			good = appendUser(append(good, ','), &x.req.people[i])
			good = append(good, '}')
		case OutcomeFailed:
			bad = appendUser(append(bad, ','), &x.req.people[i])
			bad = appendErrors(bad, vs[i].code, a.StringCodes)
		}
	}
	name := `"added_users"`
	if x.req.op == Unblock && !a.UnblockAdds {
		name = `"removed_users"`
	}
	b := make([]byte, 0, len(good)+len(bad)+512)
	b = append(b, `{"messaging_product":"whatsapp","block_users":{`...)
	b = appendList(b, name, good, a.EmptyLists)
	b = appendList(b, `"failed_users"`, bad, a.EmptyLists)
	b = append(b, '}')
	ans := answer{status: http.StatusOK, contentType: jsonType, header: x.header(nil)}
	if len(bad) > 0 {
		ans.status, ans.code = a.MixedStatus, codeSomeFailed
		b = append(b, `,"error":`...)
		b = x.someFailed().appendTo(b, a, x.trace)
	}
	ans.body = append(b, '}')
	return ans
}

func (x *exchange) someFailed() *apiError {
	e := newAPIError(codeSomeFailed, fmt.Sprintf("Failed to %s some users, see the block_users response list for details", x.req.op))
	e.Message = "(#139100) Failed to block/unblock users"
	return e
}

// appendList appends a member of block_users. users starts with a comma, or is empty.
func appendList(b []byte, name string, users []byte, emptyToo bool) []byte {
	if len(users) == 0 && !emptyToo {
		return b
	}
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, name...)
	b = append(b, `:[`...)
	if len(users) > 0 {
		b = append(b, users[1:]...)
	}
	return append(b, ']')
}

// appendUser appends a user without the closing brace.
func appendUser(b []byte, p *person) []byte {
	b = append(b, `{"input":`...)
	b = appendString(b, p.input)
	switch {
	case p.byID:
		b = append(b, `,"user_id":`...)
		b = appendString(b, p.name)
	case !p.bad:
		b = append(b, `,"wa_id":"`...)
		b = append(b, p.waID...)
		b = append(b, '"')
	}
	return b
}

// appendErrors appends what failed and the closing brace.
func appendErrors(b []byte, code int, asString bool) []byte {
	message, details := codeText(code)
	b = append(b, `,"errors":[{"message":`...)
	b = appendString(b, message)
	b = append(b, `,"code":`...)
	if asString {
		b = append(b, '"')
	}
	b = strconv.AppendInt(b, int64(code), 10)
	if asString {
		b = append(b, '"')
	}
	b = append(b, `,"error_data":{"details":`...)
	b = appendString(b, details)
	return append(b, `}}]}`...)
}

// appendString appends a JSON string, without a detour for what needs no escape.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, err := json.Marshal(s)
			if err != nil { // a string always marshals
				return append(b, `""`...)
			}
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
