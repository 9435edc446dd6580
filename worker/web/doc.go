// Package web serves the worker's HTTP address: the pages of package pages, health, metrics,
// and asynq's web UI (asynqmon), masked, and read only but for single dead letters.
//
//   - "/" is the overview, "/healthz" answers while the process lives, "/readyz" while it
//     can work, "/metrics" is for Prometheus, "/monitor/" shows the queues, with its API under
//     "/monitor/api".
//   - With a token set, every path but health and readiness requires one; [access] has the rules.
//     Without any, only requests that name a loopback host are answered, so that a page elsewhere
//     can't reach in through DNS.
//   - Requests that change something are refused when another site sent them.
//   - asynqmon shows payloads, results, error texts and IDs as they are. No phone number and no
//     BSUID passes: [asynqmon.Options] mask what has a hook, a walk over the JSON of each answer
//     masks the rest. A task whose ID holds a number is listed with the number masked.
//   - Of asynqmon's actions two pass, on one dead letter at a time: delete, which discards it, and
//     run, which redrives it. The others are refused with the command that does it properly. Every
//     such request is logged with method, path, remote address and the name of the token.
//
// The package serves no asset from elsewhere.
//
//	h, err := web.New(web.Config{Redis: rdb, Access: control, Gatherer: m.Registry(), Ready: ready})
//	srv, err := web.Listen("127.0.0.1:8080", h, logger)
//	err = srv.Run(ctx)
package web
