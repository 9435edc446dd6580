package config_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wablock/wablock/config"
)

// The secret looks like a token; whatever is broken around it, no error may show it.
const leak = "EAAGm0PX4ZCpsBAKhunter2hunter2hunter2hunter2hunter2ZD"

// TestNoErrorShowsASecret breaks configurations in ways that people do.
func TestNoErrorShowsASecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		junk := rapid.StringMatching(`[ a-z0-9:/@#%?&=,\[\]{}'"|>*!\n\t.-]{0,6}`)
		dirty := func(label string) string {
			return junk.Draw(t, label+" before") + leak + junk.Draw(t, label+" after")
		}
		in := config.Input{Flags: map[string]string{}}
		pairs := []string{"WABLOCK_RATE=wrong"}
		for _, v := range []string{"WABLOCK_ACCESS_TOKEN", "WABLOCK_APP_SECRET", "WABLOCK_HTTP_TOKEN", "WABLOCK_ACCESS_TOKEN_FILE", "TOKEN_2"} {
			if rapid.Bool().Draw(t, v) {
				pairs = append(pairs, v+"="+dirty(v))
			}
		}
		form := rapid.SampledFrom([]string{
			"redis://:%@host:1", "redis://%@host:x", "redis://u:%@h1,h2", "redis-sentinel://:%@h", "redis://h?password=%", "redis://:%", "%",
			"rediss://u:%@h/zero", "redis-sentinel://h?sentinel_password=%", "http://u:%@h", "redis-cluster://u:%@h/1", "unix://u:%@run",
		}).Draw(t, "form")
		pairs = append(pairs, "WABLOCK_REDIS_URL="+strings.ReplaceAll(form, "%", dirty("Redis")))
		pairs = append(pairs, "WABLOCK_GRAPH_URL=https://"+junk.Draw(t, "host")+"?access_token="+leak)
		in.LookupEnv = env(pairs...)
		line := rapid.SampledFrom([]string{
			"access_token: %", "access_token: [%]", "app_secret: {a: %}", "access_token_file: %", "%: 1", "phone_numbers: %", "- %",
			"phone_numbers: [{id: 1, access_token: %}]", "phone_numbers: [{id: 1, access_token_env: %}]", "phone_numbers: [{%: 1}]", "*%", "&% : 1", "!!% 1",
		}).Draw(t, "line")
		text := "burst: wrong\n" + strings.ReplaceAll(line, "%", dirty("file")) + "\n"
		in.File = writeInto(t, dir, text)
		cfg, err := config.Load(in)
		if err == nil {
			t.Fatalf("a wrong rate was taken: %v", cfg)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("shown: %v", err)
		}
	})
}

func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"rate: 1\n", "phone_numbers:\n- id: 1\n  reconcile: {mode: adopt}\n", "a: &x [*x]\n", "? a\n: b\n", "%YAML 1.2\n---\n",
		"rate: |\n  5\n", "rate: !!int 5\n", "<<: {rate: 1}\n", "'rate': \"1\"\n", "{", "-", "rate: \x00", "phone_numbers:\n  -\n",
	} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Load(config.Input{File: writeInto(t, dir, text)})
		if (cfg == nil) == (err == nil) {
			t.Fatalf("%v and %v", cfg, err)
		}
	})
}

func FuzzParseRedis(f *testing.F) {
	for _, s := range []string{"redis://u:p@h:1/2?db=3", "redis-sentinel://h1,[::1]:2/?master=m", "redis-cluster://", "unix:///s?tls=1", "rediss://[::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := config.ParseRedis(s)
		if err != nil {
			return
		}
		if o := r.Options(); len(o.Addrs) == 0 || o.Addrs[0] == "" {
			t.Fatalf("%q leads nowhere", s)
		}
	})
}
