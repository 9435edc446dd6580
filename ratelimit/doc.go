// Package ratelimit learns how fast an API that publishes no limit may be called, and holds every worker to it.
//
// Two numbers are learnt: calls a second, and users in a call. Both are met only as refusals, can change at any time,
// and may be shared with unknown programs. The law that learns them is pure functions of a [State], an event and the time,
// which a simulation can run through ten minutes in some milliseconds:
//
//	law.go     calls a second: the start, the search, the cut, and which regime holds
//	track.go   where refusals are harmless: nothing stops
//	stop.go    where they are dear: all calls stop, and one probes
//	window.go  where quotas end with the clock: they are waited for, and spread
//	spread.go  where quotas end with nothing that a clock shows: their calls are spread
//	batch.go   users in a call
//	figures.go the constants that law.go and state.go share
//
// Package ratelimit/redislimit shares one state and one token bucket among all processes. It is a [Limiter]:
//
//	g, err := limiter.Take(ctx, key)
//	if err != nil || !g.OK {
//		// ask again after g.Wait; g.Reason says why
//	}
//	// ... one call with at most g.MaxUsers users ...
//	err = limiter.Report(ctx, key, g, ratelimit.Observation{Users: n, Served: true})
//
// The package knows neither the API nor the queue, and it never sleeps.
package ratelimit
