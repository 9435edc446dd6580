package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/waiting"
)

// Clocks may differ by this much before delayed jobs and leases are visibly off, and by that
// much before they are wrong.
const (
	skewWarning = 2 * time.Second
	skewFailed  = 10 * time.Second
)

func redisFindings(ctx context.Context, cfg *config.Config) []Finding {
	rdb, err := app.Connect(ctx, cfg)
	if err != nil {
		if e, ok := errors.AsType[*app.RedisError](err); ok {
			what, help := e.Fault()
			return []Finding{{"Redis", Failed, what, help}}
		}
		return nil // interrupted
	}
	defer func() { _ = rdb.Close() }()
	infos, err := serverInfos(ctx, rdb)
	if err != nil {
		return []Finding{{"Redis", Failed, err.Error(), "let the Redis user run INFO"}}
	}
	var all []Finding
	for _, i := range infos {
		all = append(all, server(cfg, i)...)
	}
	all = append(append(all, clock(ctx, rdb)), checkQueues(rdb)...)
	return append(append(all, running(ctx, cfg, rdb)...), pauses(ctx, cfg, rdb)...)
}

// pauses looks for phone number IDs whose calls an operator has stopped.
func pauses(ctx context.Context, cfg *config.Config, rdb redis.UniversalClient) (all []Finding) {
	ids := make([]string, len(cfg.PhoneNumbers))
	for i, n := range cfg.PhoneNumbers {
		ids[i] = n.ID
	}
	found, err := pause.Of(ctx, rdb, ids...)
	if err != nil {
		return []Finding{{"pauses", Warning, err.Error(), ""}}
	}
	for _, p := range found {
		check, resume := "phone number ID "+p.PhoneNumberID, "wablock resume --phone-number-id "+p.PhoneNumberID
		if p.PhoneNumberID == "" {
			check, resume = "all phone number IDs", "wablock resume --all"
		}
		all = append(all, Finding{check, Warning, p.String(), "when the reason is gone: " + resume})
	}
	return all
}

// info is the answer of INFO, by name.
type info map[string]string

// serverInfos asks the server, or each master of a cluster.
func serverInfos(ctx context.Context, rdb redis.UniversalClient) ([]info, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		text, err := rdb.Info(ctx).Result()
		return []info{parseInfo(text)}, err
	}
	var mu sync.Mutex
	var all []info
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, parseInfo(text))
		return err
	})
	return all, err
}

func parseInfo(text string) info {
	i := info{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			i[k] = v
		}
	}
	return i
}

// server checks one server. What it does not tell is not a failure: miniredis and some hosted
// ones tell little.
func server(cfg *config.Config, i info) []Finding {
	all := []Finding{version(cfg, i["redis_version"]), eviction(i["maxmemory_policy"]), persistence(i["aof_enabled"])}
	if f, found := memory(i["used_memory"], i["maxmemory"]); found {
		all = append(all, f)
	}
	return all
}

// nearlyFull is the share of Redis's memory, in percent, from which it is worth a look.
const nearlyFull = 85

// memory reports how full Redis is, as far as it has a bound and tells.
func memory(used, limit string) (Finding, bool) {
	u, errUsed := strconv.ParseInt(used, 10, 64)
	m, errLimit := strconv.ParseInt(limit, 10, 64)
	if errUsed != nil || errLimit != nil || m <= 0 {
		return Finding{}, false
	}
	percent := int(100 * float64(u) / float64(m))
	f := Finding{"Redis memory", OK, fmt.Sprintf("%d %% of maxmemory is used", percent), ""}
	const help = "raise maxmemory, or remove what else is in this Redis; `wablock cancel` takes back a job that waits"
	switch {
	case u >= m:
		f.Status, f.Detail, f.Help = Failed, fmt.Sprintf("it is full (%d %% of maxmemory): new requests are refused; what was accepted goes on", percent), help
	case percent >= nearlyFull:
		f.Status, f.Help = Warning, help
	}
	return f, true
}

func version(cfg *config.Config, v string) Finding {
	switch {
	case v == "":
		return Finding{"Redis", Warning, fmt.Sprintf("answers at %s but does not tell its version", cfg.Redis), "see that it is 6.2 or later"}
	case atLeast(v, 6, 2):
		return Finding{"Redis", OK, fmt.Sprintf("version %s answers at %s", v, cfg.Redis), ""}
	}
	return Finding{"Redis", Failed, fmt.Sprintf("version %s at %s is too old", v, cfg.Redis), "upgrade to 6.2 or later"}
}

func eviction(policy string) Finding {
	const check = "Redis eviction"
	switch policy {
	case "noeviction":
		return Finding{check, OK, "maxmemory-policy is noeviction", ""}
	case "":
		return Finding{check, Warning, "it does not tell its maxmemory-policy", "see that it is noeviction: anything else loses requests when memory is full"}
	}
	return Finding{
		check, Failed, "maxmemory-policy is " + policy + ", which drops requests when memory is full",
		"CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
	}
}

func persistence(aof string) Finding {
	const check = "Redis persistence"
	switch aof {
	case "1":
		return Finding{check, OK, "appendonly is on", ""}
	case "":
		return Finding{check, Warning, "it does not tell whether it writes an append-only file", "see that appendonly is on"}
	}
	return Finding{
		check, Failed, "appendonly is off: a crash loses requests that were accepted",
		"CONFIG SET appendonly yes, and the same in redis.conf",
	}
}

// atLeast compares a version such as 7.0.15.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	a, err := strconv.Atoi(parts[0])
	if err != nil || a != major {
		return err == nil && a > major
	}
	if len(parts) < 2 {
		return minor == 0
	}
	b, err := strconv.Atoi(parts[1])
	return err == nil && b >= minor
}

func clock(ctx context.Context, rdb redis.UniversalClient) Finding {
	before := time.Now()
	theirs, err := rdb.Time(ctx).Result()
	after := time.Now()
	if err != nil {
		return Finding{"clock", Warning, "Redis does not tell the time: " + err.Error(), "let the Redis user run TIME"}
	}
	skew := theirs.Sub(before.Add(after.Sub(before) / 2)).Abs().Round(time.Millisecond)
	f := Finding{"clock", OK, fmt.Sprintf("this machine and Redis are %v apart", skew), ""}
	if skew > skewWarning {
		f.Status, f.Help = Warning, "set both machines by NTP"
	}
	if skew > skewFailed {
		f.Status = Failed
	}
	return f
}

// checkQueues looks for what keeps jobs from being done although everything else is in order.
func checkQueues(rdb redis.UniversalClient) (all []Finding) {
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	known, err := inspector.Queues()
	if err != nil {
		return []Finding{{"queues", Failed, err.Error(), "look at what else uses this Redis database"}}
	}
	pending, dead := 0, 0
	for _, q := range known {
		qi, err := inspector.GetQueueInfo(q)
		switch {
		case err != nil:
			all = append(all, Finding{"queue " + q, Warning, err.Error(), ""})
		case q == queues.DeadLetter:
			dead = qi.Size
		case ledger.Queue(q).Valid():
			pending += qi.Pending + qi.Scheduled + qi.Retry + qi.Active
			if qi.Paused {
				all = append(all, Finding{"queue " + q, Failed, "it is paused", "redis-cli DEL asynq:{" + q + "}:paused"})
			}
		}
	}
	return append(all, workers(inspector, pending, dead))
}

func workers(inspector *asynq.Inspector, pending, dead int) Finding {
	servers, err := inspector.Servers()
	state := fmt.Sprintf("tasks waiting: %d, dead letters: %d", pending, dead)
	switch {
	case err != nil:
		return Finding{"workers", Warning, err.Error(), ""}
	case len(servers) == 0 && pending > 0:
		return Finding{"workers", Warning, "none is running; " + state, "start one with `wablock worker`"}
	case len(servers) == 0:
		return Finding{"workers", OK, "none is running, and nothing waits; " + state, ""}
	}
	return Finding{"workers", OK, fmt.Sprintf("running: %d; %s", processes(servers), state), ""}
}

// processes counts workers: each runs several of asynq's servers.
func processes(servers []*asynq.ServerInfo) int {
	seen := map[string]bool{}
	for _, s := range servers {
		seen[fmt.Sprintf("%s/%d", s.Host, s.PID)] = true
	}
	return len(seen)
}

// maxLanes bounds the phone number IDs that are named for their calls.
const maxLanes = 20

// running looks for what the workers that run have reported.
func running(ctx context.Context, cfg *config.Config, rdb redis.UniversalClient) (all []Finding) {
	workers, err := fleet.All(ctx, rdb)
	if err != nil {
		return []Finding{{"workers", Warning, err.Error(), ""}}
	}
	own := app.GraphHost(cfg)
	stopped := 0
	for _, w := range workers {
		if w.GraphHost != own {
			all = append(all, Finding{
				"workers", Failed, fmt.Sprintf("one (%s) calls %s, and this configuration names %s", w.Where(), w.GraphHost, own),
				"stop it, use another Redis database, or correct WABLOCK_GRAPH_URL",
			})
		}
		for _, l := range w.Lanes {
			if l.State == fleet.Running {
				continue
			}
			if stopped++; stopped <= maxLanes {
				all = append(all, laneFinding(cfg, w.Where(), l))
			}
		}
	}
	if stopped > maxLanes {
		all = append(all, Finding{"phone number IDs", Warning, fmt.Sprintf("the calls of %d more don't go", stopped-maxLanes), "`wablock limits show --phone-number-id ID` has the state of one"})
	}
	return append(all, limits(ctx, cfg, rdb, workers)...)
}

// laneFinding reports a phone number ID whose calls don't go, configured here or named by a
// producer alone.
func laneFinding(cfg *config.Config, where string, l fleet.Lane) Finding {
	f := Finding{"phone number ID " + l.PhoneNumberID, Warning, waiting.Stopped(l) + " (" + where + ")", ""}
	switch l.State {
	case fleet.Full:
		f.Help = "unblock users: `wablock list` shows who is blocked; a trial looks for room every 30 minutes at the latest, and within 5 s of a new block"
		return f
	case fleet.Halted:
		f.Status, f.Help = Failed, "see the check of the API below"
	case fleet.Outage, fleet.Running:
	}
	if !slices.ContainsFunc(cfg.PhoneNumbers, func(n config.PhoneNumber) bool { return n.ID == l.PhoneNumberID }) {
		f.Detail += "; only a producer named it, it is not configured here"
		f.Help = "correct the ID in that producer, or give the token of WABLOCK_ACCESS_TOKEN access to it"
	}
	return f
}

// limits looks for phone number IDs whose rate an operator has set, or the API has refused.
func limits(ctx context.Context, cfg *config.Config, rdb redis.UniversalClient, workers []fleet.Worker) (all []Finding) {
	limiter := app.LimiterOf(cfg, rdb, workers, func(string, ...any) {})
	for _, n := range cfg.PhoneNumbers {
		check := "rate of phone number ID " + n.ID
		s, err := limiter.Show(ctx, n.ID)
		if err != nil {
			return append(all, Finding{check, Warning, err.Error(), ""})
		}
		release := "when the reason is gone: wablock limits release --phone-number-id " + n.ID + "; `wablock audit` shows who set it"
		if s.Pinned > 0 {
			all = append(all, Finding{check, Warning, fmt.Sprintf("pinned at %.3g calls a second by an operator; %.3g is learnt", s.Pinned, s.Learnt), release})
		}
		if s.Capped > 0 {
			all = append(all, Finding{check, Warning, fmt.Sprintf("capped at %.3g calls a second by an operator; %.3g is learnt", s.Capped, s.Learnt), release})
		}
		if !s.PausedUntil.IsZero() {
			all = append(all, Finding{
				check, Warning, "the API has refused calls for their rate; the next one goes at " + s.PausedUntil.UTC().Format(time.RFC3339),
				"nothing, if it passes; find out what else calls with this account, or lower WABLOCK_RATE, if it does not",
			})
		}
	}
	return all
}
