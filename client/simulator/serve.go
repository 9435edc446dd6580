package simulator

// serve admits the call, waits half of its latency, lets it take effect, and waits the rest.
func serve(x *exchange) answer {
	if fail := x.admit(); fail != nil {
		return answerError(x, fail)
	}
	half := x.plan.latency / 2
	if !x.pause(half) {
		return answer{aborted: true}
	}
	f := x.plan.fault
	var a answer
	if f == nil || f.Applied || !f.replaces() {
		if x.req.op == List {
			a = answerListing(x)
		} else {
			a = answerBlockCall(x)
		}
	}
	if !x.pause(x.plan.latency - half) {
		return answer{aborted: true}
	}
	if f != nil {
		return strike(x, f, a)
	}
	return a
}

// answerBlockCall carries a block or unblock out, and writes the answer.
func answerBlockCall(x *exchange) answer {
	x.s.mu.Lock()
	verdicts, fail := (&blockCall{exchange: x, now: x.s.now()}).apply()
	x.s.mu.Unlock()
	if fail != nil {
		return answerError(x, fail)
	}
	return answerVerdicts(x, verdicts)
}

const gatewayPage = `<!DOCTYPE html>
<html lang="en"><head><title>Error</title></head>
<body><h1>Sorry, something went wrong.</h1><p>We're working on getting this fixed as soon as we can.</p></body></html>
`

// strike applies a fault to a call or to its answer.
func strike(x *exchange, f *Fault, a answer) answer {
	switch f.Effect {
	case EffectFail:
		return answerError(x, f.apiError())
	case EffectReset:
		return answer{aborted: true}
	case EffectHang:
		<-x.r.Context().Done()
		return answer{aborted: true}
	case EffectHTML:
		return answer{header: headers(x, nil), contentType: "text/html; charset=utf-8", status: f.Status, body: []byte(gatewayPage)}
	case EffectEmpty:
		return answer{header: headers(x, nil), contentType: jsonType, status: f.Status}
	case EffectTruncated:
		a.body = a.body[:len(a.body)/2]
	case EffectCut:
		a.cut = true
	}
	return a
}
