package config

import (
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// How long Redis may take. Scripts over a thousand users take milliseconds; a listing of the
// web UI has been seen to hold all others up for 0.3 s.
const (
	redisDialTimeout  = 5 * time.Second
	redisReadTimeout  = 10 * time.Second
	redisWriteTimeout = 10 * time.Second
	redisPoolTimeout  = 12 * time.Second
	minPoolSize       = 20
	// A master that was killed can't name its successor, and go-redis by
	// itself looks anew once a minute.
	clusterReload = 2 * time.Second
)

// Redis names the Redis to use. It prints as its URL with the password hidden.
type Redis struct{ p *redisURL }

// ParseRedis reads a Redis URL; see the package's documentation for what it may hold. Its
// error shows no part of the URL.
func ParseRedis(url string) (Redis, error) {
	p, err := parseRedisURL(url)
	if err != nil {
		return Redis{}, fmt.Errorf("config: Redis URL: %w", err)
	}
	return Redis{p}, nil
}

// Options returns options of the caller's own for go-redis, with timeouts and pool size set.
func (r Redis) Options() *redis.UniversalOptions {
	o := &redis.UniversalOptions{
		DialTimeout:           redisDialTimeout,
		ReadTimeout:           redisReadTimeout,
		WriteTimeout:          redisWriteTimeout,
		PoolTimeout:           redisPoolTimeout,
		ContextTimeoutEnabled: true,
		PoolSize:              max(minPoolSize, 10*runtime.GOMAXPROCS(0)),
		// Handshakes that servers before Redis 7.2, and proxies, answer with errors.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if r.p != nil {
		r.p.apply(o)
	}
	return o
}

// Client returns a client that connects when it is first used. The caller closes it.
func (r Redis) Client() redis.UniversalClient {
	o := r.Options()
	if !r.Cluster() {
		return redis.NewUniversalClient(o)
	}
	cluster := o.Cluster()
	cluster.ClusterStateReloadInterval = clusterReload
	return redis.NewClusterClient(cluster)
}

// Cluster reports whether keys are spread over several servers, on which a few commands are
// not allowed.
func (r Redis) Cluster() bool { return r.p != nil && r.p.scheme == schemeCluster }

// String returns the URL with passwords hidden and without options.
func (r Redis) String() string {
	if r.p == nil {
		return ""
	}
	return r.p.display()
}

// Format hides passwords under every verb.
func (r Redis) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue hides passwords.
func (r Redis) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText hides passwords.
func (r Redis) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
