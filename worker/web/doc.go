// Package web is the worker's HTTP address: a page that leads to the others, health, metrics,
// and asynq's web UI (asynqmon) made fit to be looked at.
//
//   - "/" leads to the others, "/healthz" says that the process lives, "/readyz" that it can work,
//     "/metrics" is for Prometheus, "/monitor/" shows the queues and its API is under "/monitor/api".
//   - With a token set, everything but health and readiness asks for it. Without one, only requests
//     that name a loopback host are answered, so that a page elsewhere can't reach in through DNS.
//   - Requests that change something are refused when another site sent them.
//   - asynqmon shows payloads, results, error texts and IDs as they are. Here no phone number and no
//     BSUID gets past: what asynqmon formats through its hooks is masked by [asynqmon.Options], the
//     rest of each answer by a walk over its JSON. An ID or a queue's name that holds a number goes
//     out under an alias, which is put back when a request names it, so that buttons still work.
//   - What would lose something is refused with the reason and the command that does it properly:
//     all that moves tasks to asynq's archive, deleting dead letters, deleting tasks whose users the
//     ledger still wants.
//
// The package never writes to Redis on its own account, and serves no asset from elsewhere.
//
//	h, err := web.New(web.Config{Redis: rdb, Token: token, Gatherer: m.Registry(), Ready: ready})
//	srv, err := web.Listen("127.0.0.1:8080", h, logger)
//	err = srv.Run(ctx)
package web
