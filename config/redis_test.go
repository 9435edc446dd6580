package config_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
)

func TestParseRedis(t *testing.T) {
	t.Parallel()
	type parts struct {
		Addrs                    []string
		User, Password           string
		DB                       int
		Master                   string
		SentinelUser, SentinelPW string
		Cluster, TLS             bool
	}
	for url, c := range map[string]struct {
		want  parts
		shown string
	}{
		"redis://127.0.0.1:6379/0":          {parts{Addrs: []string{"127.0.0.1:6379"}}, "redis://127.0.0.1:6379/0"},
		"redis://host":                      {parts{Addrs: []string{"host:6379"}}, "redis://host:6379/0"},
		"redis://[::1]":                     {parts{Addrs: []string{"[::1]:6379"}}, "redis://[::1]:6379/0"},
		"redis://[::1]:7/2":                 {parts{Addrs: []string{"[::1]:7"}, DB: 2}, "redis://[::1]:7/2"},
		"redis://:pw@host:1/":               {parts{Addrs: []string{"host:1"}, Password: "pw"}, "redis://***@host:1/0"},
		"redis://me:p%40%2Fw@host:1/9":      {parts{Addrs: []string{"host:1"}, User: "me", Password: "p@/w", DB: 9}, "redis://***@host:1/9"},
		"redis://me:p@w@host:1":             {parts{Addrs: []string{"host:1"}, User: "me", Password: "p@w"}, "redis://***@host:1/0"},
		"rediss://me:pw@host":               {parts{Addrs: []string{"host:6379"}, User: "me", Password: "pw", TLS: true}, "rediss://***@host:6379/0"},
		"unix:///run/redis.sock":            {parts{Addrs: []string{"/run/redis.sock"}}, "unix:///run/redis.sock"},
		"unix://me:pw@/run/redis.sock?db=3": {parts{Addrs: []string{"/run/redis.sock"}, User: "me", Password: "pw", DB: 3}, "unix://***@/run/redis.sock?db=3"},
		"redis-sentinel://h1:1,h2/4?master=main": {
			parts{Addrs: []string{"h1:1", "h2:26379"}, DB: 4, Master: "main"}, "redis-sentinel://h1:1,h2:26379/4?master=main",
		},
		"redis-sentinel://u:p@h1:1,h2:2/0?master=m&sentinel_username=su&sentinel_password=sp&tls=true": {
			parts{Addrs: []string{"h1:1", "h2:2"}, User: "u", Password: "p", Master: "m", SentinelUser: "su", SentinelPW: "sp", TLS: true},
			"redis-sentinel://***@h1:1,h2:2/0?master=m",
		},
		"redis-cluster://u:p@h1:1,h2:2": {
			parts{Addrs: []string{"h1:1", "h2:2"}, User: "u", Password: "p", Cluster: true}, "redis-cluster://***@h1:1,h2:2",
		},
		"redis-cluster://h1": {parts{Addrs: []string{"h1:6379"}, Cluster: true}, "redis-cluster://h1:6379"},
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			r, err := config.ParseRedis(url)
			if err != nil {
				t.Fatal(err)
			}
			o := r.Options()
			got := parts{o.Addrs, o.Username, o.Password, o.DB, o.MasterName, o.SentinelUsername, o.SentinelPassword, o.IsClusterMode, o.TLSConfig != nil}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if r.String() != c.shown {
				t.Errorf("shown as %s, want %s", r, c.shown)
			}
		})
	}
}

func TestParseRedisRefuses(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                         "must start with",
		"localhost:6379":                           "must start with",
		"http://localhost":                         "must start with",
		"redis://":                                 "host or host:port",
		"redis://host:port":                        "a port",
		"redis://host:0":                           "a port",
		"redis://host:70000":                       "a port",
		"redis://host/zero":                        "database",
		"redis://:pass/word@host":                  "port",
		"redis://u:pass#1@host":                    "%23",
		"redis://u:100%@host":                      "%25",
		"redis://h1,h2":                            "several servers",
		"redis://h?timeout=5":                      "nothing else",
		"redis://h?pool_size=0":                    "nothing else",
		"redis://h?a=%zz":                          "can't be read",
		"redis://h?ca_file=/x":                     "for TLS",
		"redis://h?tls=true":                       "rediss://",
		"rediss://h?tls=false":                     "TLS",
		"rediss://h?ca_file=/does/not/exist":       "can't be read",
		"redis://h?master=m":                       "for redis-sentinel",
		"redis-sentinel://h1:1":                    "master=NAME",
		"redis-cluster://h1:1/1":                   "database 0",
		"unix://redis.sock":                        "absolute path",
		"unix:///":                                 "absolute path",
		"redis-sentinel://h1:1,,h2:1/0?master=m":   "host or host:port",
		"redis-cluster://h1:1/0?master=m":          "for redis-sentinel",
		"redis-sentinel://h1:1/0?master=m&tls=no!": "nothing else",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			if _, err := config.ParseRedis(url); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want something of %q", err, want)
			}
		})
	}
}

func TestRedisClientConnects(t *testing.T) {
	t.Parallel()
	mini := miniredis.RunT(t)
	mini.RequireUserAuth("me", "p@ss/word")
	r, err := config.ParseRedis("redis://me:p%40ss%2Fword@" + mini.Addr() + "/2")
	if err != nil {
		t.Fatal(err)
	}
	rdb := r.Client()
	t.Cleanup(func() { _ = rdb.Close() })
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := mini.DB(2).Get("k"); got != "v" {
		t.Errorf("database 2 has %q, %v", got, err)
	}
}

func TestRedisClientKinds(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"redis://h": "*redis.Client", "redis-sentinel://h?master=m": "*redis.Client",
		"redis-cluster://h": "*redis.ClusterClient", "redis-cluster://h,i": "*redis.ClusterClient", "unix:///s": "*redis.Client",
	} {
		r, err := config.ParseRedis(url)
		if err != nil {
			t.Fatal(err)
		}
		rdb := r.Client()
		if got := fmt.Sprintf("%T", rdb); got != want || r.Cluster() != strings.Contains(want, "Cluster") {
			t.Errorf("%s makes a %s", url, got)
		}
		if c, ok := rdb.(*redis.Client); ok && strings.HasPrefix(url, "unix") && c.Options().Network != "unix" {
			t.Errorf("%s goes to the network %s", url, c.Options().Network)
		}
		_ = rdb.Close()
	}
}

func TestRedisCAFile(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := config.ParseRedis("rediss://h?ca_file=" + path)
	if err != nil || r.Options().TLSConfig.RootCAs == nil {
		t.Fatalf("no certificates: %v", err)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = config.ParseRedis("rediss://h?ca_file=" + path); err == nil {
		t.Error("a file without certificates was taken")
	}
}

func TestNothingPrintsThePassword(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Input{LookupEnv: env("WABLOCK_REDIS_URL=redis-sentinel://u:hunter2@h:1/0?master=m&sentinel_password=hunter2",
		"WABLOCK_ACCESS_TOKEN=hunter2", "WABLOCK_APP_SECRET=hunter2", "WABLOCK_HTTP_TOKEN=hunter2", "WABLOCK_PHONE_NUMBER_ID=1")})
	outer := struct {
		*config.Config
		inner config.Config
	}{cfg, *cfg}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, v := range []any{cfg, *cfg, cfg.Redis, cfg.AccessToken, outer, &outer} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "hunter2") || strings.Contains(s, fmt.Sprintf("%x", "hunter2")) {
				t.Errorf("%s of %T shows %s", verb, v, s)
			}
		}
	}
	b, err := json.Marshal(cfg)
	if err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("json: %s, %v", b, err)
	}
}
