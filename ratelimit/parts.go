package ratelimit

// Every limiter has two buckets to ask and to tell, the phone number's and its account's. What follows is how one call
// becomes a question and a report to each.

// accountSettings are the bounds of an account: none is configured, so only what is learnt limits it.
func accountSettings(phone Settings) Settings {
	return Settings{Rate: MaxRate, Burst: maxBurst, MaxUsers: phone.MaxUsers}
}

// phonePart is what an observation says about the phone number. An error on the account's behalf says nothing about it.
func phonePart(o Observation) Observation {
	if o.Account {
		o.Limited, o.RetryAfter, o.UsagePercent = false, 0, 0
	}
	return o
}

// accountPart is what an observation says about the account. Usage headers are counted per account by the API, but lead
// each phone number by itself: the one that is shown them slows down.
func accountPart(o Observation) Observation {
	if !o.Account {
		o.Limited, o.RetryAfter, o.UsagePercent = false, 0, 0
	}
	o.Users, o.Retry = 0, false // size and retries are the phone number's affair
	return o
}

func eventOf(st stamp, o Observation, c Counters, jitter float64) Event {
	return Event{Observation: o, Count: c, Epoch: st.epoch, Probe: st.probe, Trial: st.trial, Due: st.due, Jitter: jitter}
}

// restarts reports whether a transition begins or ends a pause: the bucket then starts anew, empty.
func restarts(before, after State) bool {
	return before.Epoch != after.Epoch || before.Probe != after.Probe || before.PausedUntil != after.PausedUntil
}

// grantOf joins the two answers: both must agree, and the longer wait counts.
func grantOf(phone answer, account *answer) Grant {
	g := Grant{
		Wait: phone.wait, Reason: phone.reason, MaxUsers: phone.users, FreshOnly: phone.fresh, phone: phone.stamp,
	}
	if account != nil {
		if account.wait > g.Wait {
			g.Wait, g.Reason = account.wait, account.reason
		}
		g.account = account.stamp
		if account.users < g.MaxUsers {
			g.MaxUsers = account.users
			g.phone.trial = 0
		}
	}
	g.OK = g.Reason == NotLimited
	return g
}
