package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/redistest"
)

const redisPassword = "redistopsecret"

// redisUser is the least that wablock's user in Redis needs: asynq's keys and its own, and of
// the commands held dangerous INFO alone, for doctor, metrics and the web UI.
var redisUser = []string{
	"--user", "wablock", "on", ">" + redisPassword, "resetkeys", "~asynq:*", "~wablock:*", "resetchannels", "&asynq:*", "&wablock:*",
	"+@all", "-@admin", "-@dangerous", "+info",
}

// TestTLSAndACL runs everything over TLS under an authority of its own, as a user of Redis who
// may do no more than wablock needs.
func TestTLSAndACL(t *testing.T) {
	t.Parallel()
	server := redistest.StartTLS(t, redisUser...)
	pem, err := os.ReadFile(server.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	rdb := redis.NewClient(&redis.Options{Addr: server.TLSAddr, TLSConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	t.Cleanup(func() { _ = rdb.Close() })
	url := "rediss://wablock:" + redisPassword + "@" + server.TLSAddr + "/0?ca_file=" + server.CAFile
	s := newSystemOn(t, simulator.Scenario{AppSecret: appSecret}, url, rdb)
	f := &failover{system: s, workers: []*process{s.worker("one")}, next: 60}
	s.want(0, s.run(append([]string{"block", "--wait", "--json"}, numbers(60)...)...))
	f.commands()
	s.want(0, s.run("doctor"))

	for what, wrong := range map[string]struct{ url, says string }{
		"an unknown authority": {strings.Split(url, "?")[0], "does not answer"},
		"a wrong password":     {strings.Replace(url, redisPassword, "guessed", 1), "asks for another user or password"},
		"no TLS":               {strings.Replace(strings.Split(url, "?")[0], "rediss", "redis", 1), "does not answer"},
	} {
		s.env = append(s.env, "WABLOCK_REDIS_URL="+wrong.url)
		if a := s.want(1, s.run("status", "+16502000000")); !strings.Contains(a.err, wrong.says) {
			t.Errorf("%s: %s", what, a.err)
		} else {
			t.Logf("%s: %s", what, strings.TrimSpace(a.err))
		}
	}
	if strings.Contains(s.logs.String(), redisPassword) || strings.Contains(s.logs.String(), "guessed") {
		t.Error("a log holds the password")
	}
}
