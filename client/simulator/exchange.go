package simulator

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"
)

// exchange is one call being served.
type exchange struct {
	s     *state
	set   *settings
	r     *http.Request
	req   request
	call  *Call // its entry in the journal; guarded by s.mu once it is there
	n     *number
	plan  plan
	usage usage
	trace string
}

// plan holds the latency and the faults of a call, decided when it came in.
type plan struct {
	latency    time.Duration
	fault      *Fault // that hits the call; nil if none does
	userFaults []*fault
}

// admit reads the call, enters it in the journal, and refuses it or lets it go on.
func (x *exchange) admit() *apiError {
	s := x.s
	s.mu.Lock()
	x.set = s.set
	s.mu.Unlock()
	var fail *apiError
	x.req, fail = readRequest(x.set, x.r, x.call.Begin)
	x.call.Operation, x.call.PhoneNumberID = x.req.op, x.req.phoneNumberID
	if n := len(x.req.people); n > 0 && n <= x.set.Blocking.MaxUsers {
		x.call.Users = make([]CallUser, n)
		for i := range x.req.people {
			x.call.Users[i].User = journalName(x.req.people[i].name)
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.add(x.call)
	x.trace = traceID(s.set.Seed, x.call.Seq)
	if fail != nil {
		return fail
	}
	now := s.now()
	if x.n = s.number(x.req.phoneNumberID, now); x.n == nil {
		return notFound("Object with that ID does not exist, or the token has no access to it")
	}
	var refused *limiter
	if x.usage, refused = limit(s.limiters, x.n, x.req.op, len(x.req.people), now); refused != nil {
		e := newAPIError(refused.Code, "")
		e.Status = refused.Status
		return e
	}
	if fail := x.refuse(); fail != nil {
		return fail
	}
	x.foresee(now)
	return nil
}

// refuse fails the call as a whole for what is in it. Requires s.mu held.
func (x *exchange) refuse() *apiError {
	b, people := x.set.Blocking, x.req.people
	if x.req.op == List {
		return nil
	}
	if len(people) > b.MaxUsers {
		return newAPIError(b.TooManyCode, "")
	}
	if len(people) == 0 && b.EmptyCode != 0 {
		return newAPIError(b.EmptyCode, "Param block_users must not be empty")
	}
	for i := range people {
		switch p := &people[i]; p.trick {
		case trickSinks100:
			return badRequest("Param block_users[%d] is not supported", i)
		case trickSinks131009:
			return newAPIError(codeBadValue, "")
		case trickRateOnce:
			if x.tried(trickRateOnce) == 1 {
				return newAPIError(codeRateLimit, "")
			}
		default:
			if b.BadUsers != perCall {
				continue
			}
			if x.own(p) {
				return newAPIError(codeOwnNumber, "")
			}
			if p.shapeless() {
				return newAPIError(codeBadValue, "")
			}
		}
	}
	return nil
}

// tried counts one more call with a number whose result changes.
func (x *exchange) tried(t trick) int {
	key := try{x.req.op, t}
	x.n.tries[key]++
	return x.n.tries[key]
}

func (x *exchange) own(p *person) bool {
	return p.trick == trickOwn || x.n.own != "" && p.name == x.n.own
}

// foresee decides the call's latency and the faults that hit it. Requires s.mu held.
func (x *exchange) foresee(now time.Time) {
	l := x.set.Latency
	size := len(x.req.people)
	if x.req.op == List {
		size = x.req.page.limit
	}
	x.plan.latency = time.Duration(l.Base) + time.Duration(size)*time.Duration(l.PerUser)
	if l.Jitter > 0 {
		x.plan.latency += time.Duration(x.n.rng.Int64N(int64(l.Jitter)))
	}
	for i := range x.req.people {
		if x.req.people[i].trick == trickSlow {
			x.plan.latency += slowBy
			break
		}
	}
	for _, f := range x.s.faults {
		x.consider(f, now)
	}
}

// consider applies one fault to the call, or keeps it for its users.
func (x *exchange) consider(f *fault, now time.Time) {
	isList := x.req.op == List
	switch {
	case !f.matchesCall(x.req.op, x.n.id, x.req.page.hasCursor()):
	case f.onUsers():
		if !isList {
			x.plan.userFaults = append(x.plan.userFaults, f)
		}
	case f.Effect.ofListing() && !isList, !f.carries(x.req.people):
	case f.Effect == EffectDelay:
		if f.fires(x.n.rng) {
			x.plan.latency += time.Duration(f.Delay)
			x.mark(f.Name)
		}
	case f.Effect == EffectListChanged:
		if f.fires(x.n.rng) {
			x.n.list.bump(now)
			x.mark(f.Name)
		}
	case x.plan.fault == nil && f.fires(x.n.rng):
		x.plan.fault = &f.Fault
		x.mark(f.Name)
	}
}

// mark names a fault that hit the call in the journal.
func (x *exchange) mark(name string) {
	if x.call.Fault != "" {
		name = x.call.Fault + "," + name
	}
	x.call.Fault = name
}

// pause lets latency pass; false if the client left meanwhile.
func (x *exchange) pause(d time.Duration) bool {
	if d <= 0 {
		return x.r.Context().Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.r.Context().Done():
		return false
	}
}

// end closes the call's entry in the journal, before the answer is sent; status and code are 0
// where none is.
func (x *exchange) end(status, code int) {
	s := x.s
	s.mu.Lock()
	c := x.call
	c.End, c.Ended = s.now(), s.ticks.Add(1)
	c.Status, c.Code = status, code
	s.mu.Unlock()
	s.log.Info("call", "operation", c.Operation, "phone_number_id", c.PhoneNumberID, "users", len(c.Users),
		"status", c.Status, "code", c.Code, "fault", c.Fault, "took", c.End.Sub(c.Begin).String())
}

// traceID returns an identifier that looks like Meta's, for the call's number.
func traceID(seed uint64, seq int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], mix(seed^uint64(seq)<<1))
	return "A" + base64.RawURLEncoding.EncodeToString(b[:])
}
