package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/redistest"
)

// checks returns the status of each check of `doctor --json`; failed wins over ok.
func (r result) checks() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for _, o := range r.objects() {
		check, status := o["check"].(string), o["status"].(string)
		if all[check] != "failed" {
			all[check] = status
		}
		if status == "failed" && o["help"] == nil {
			r.t.Errorf("%s: no help", check)
		}
	}
	return all
}

func TestDoctorIsContent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f = f.with("WABLOCK_REDIS_URL", "redis://"+redistest.Start(t).Addr)
	r := f.wablock("doctor", "--json").exits(exitDone)
	for _, check := range []string{"configuration", "Redis", "Redis eviction", "Redis persistence", "clock", "API, phone number ID " + phoneNumberID} {
		if got := r.checks()[check]; got != "ok" {
			t.Errorf("%s: %s\n%s", check, got, r.out)
		}
	}
}

func TestDoctorFindsWhatIsWrongWithRedis(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f = f.with("WABLOCK_REDIS_URL", "redis://"+redistest.Start(t, "--maxmemory-policy", "allkeys-lru", "--appendonly", "no").Addr)
	r := f.wablock("doctor").exits(exitFailed).says("2 checks failed")
	for _, want := range []string{"allkeys-lru", "CONFIG SET maxmemory-policy noeviction", "CONFIG SET appendonly yes"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("nothing of %q:\n%s", want, r.out)
		}
	}
	r = f.with("WABLOCK_REDIS_URL", "redis://127.0.0.1:1").wablock("doctor", "--json").exits(exitFailed)
	if c := r.checks(); c["Redis"] != "failed" || c["API, phone number ID "+phoneNumberID] != "ok" {
		t.Errorf("got %v", c)
	}
	if strings.Contains(r.out, "`wablock doctor`") {
		t.Errorf("doctor sends to itself:\n%s", r.out)
	}
}

func TestDoctorFindsWhatIsWrongWithTheAPI(t *testing.T) {
	t.Parallel()
	f := setup(t)
	api := "API, phone number ID " + phoneNumberID
	if c := f.without("WABLOCK_ACCESS_TOKEN").wablock("doctor", "--json").exits(exitFailed).checks(); c["access token"] != "failed" {
		t.Errorf("without a token: %v", c)
	}
	if c := f.without("WABLOCK_PHONE_NUMBER_ID").wablock("doctor", "--json").exits(exitFailed).checks(); c["phone number ID"] != "failed" {
		t.Errorf("without a phone number ID: %v", c)
	}
	if err := f.sim.SetScenario(simulator.Scenario{Tokens: []simulator.Token{{Token: "another"}}}); err != nil {
		t.Fatal(err)
	}
	if c := f.wablock("doctor", "--json").exits(exitFailed).checks(); c[api] != "failed" {
		t.Errorf("with a wrong token: %v", c)
	}
}

func TestDoctorFindsAWrongPassword(t *testing.T) {
	t.Parallel()
	mini, _ := redistest.Mini(t)
	mini.RequireAuth("sesame")
	for _, url := range []string{"redis://" + mini.Addr(), "redis://:wrong@" + mini.Addr()} {
		f := setup(t).with("WABLOCK_REDIS_URL", url)
		r := f.wablock("doctor").exits(exitFailed)
		if !strings.Contains(r.out, "password") || strings.Contains(r.out, "does not answer") || strings.Contains(r.out, "wrong@") {
			t.Errorf("%s", r.out)
		}
		f.wablock("block", number(1)).exits(exitFailed).says("put user and password into WABLOCK_REDIS_URL")
	}
}

func TestDoctorOfAWrongConfiguration(t *testing.T) {
	t.Parallel()
	f := setup(t).with("WABLOCK_RATE", "fast")
	if c := f.wablock("doctor", "--json").exits(exitUsage).checks(); c["configuration"] != "failed" {
		t.Errorf("got %v", c)
	}
}

// TestDoctorReadsDesiredLists: a mistyped source is found before the first run at night.
func TestDoctorReadsDesiredLists(t *testing.T) {
	t.Parallel()
	f := setup(t)
	check := "reconcile.source of phone number ID " + phoneNumberID
	list := f.write(lineEach(span(0, 3)))
	for src, want := range map[string]string{"Ledger": "failed", "/nowhere/list.csv": "failed", list: "ok", "ledger": "ok"} {
		config := f.write("phone_numbers: [{id: " + phoneNumberID + ", reconcile: {source: " + src + ", schedule: \"0 3 * * *\"}}]")
		r := f.wablock("doctor", "--json", "--config", config)
		if got := r.checks()[check]; got != want {
			t.Errorf("%s: %s\n%s", src, got, r.out)
		}
		if want == "failed" && !strings.Contains(r.out, src) || want == "ok" && !strings.Contains(r.out, "T03:00:00Z") {
			t.Errorf("%s: %s", src, r.out)
		}
	}
}

// TestDoctorFindsAPausedQueue, which the web UI can't resume.
func TestDoctorFindsAPausedQueue(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", number(1)).exits(exitDone)
	if err := asynq.NewInspectorFromRedisClient(f.rdb).PauseQueue("interactive"); err != nil {
		t.Fatal(err)
	}
	if r := f.wablock("doctor").exits(exitFailed); !strings.Contains(r.out, "DEL asynq:{interactive}:paused") {
		t.Errorf("%s", r.out)
	}
	if err := f.rdb.Del(t.Context(), "asynq:{interactive}:paused").Err(); err != nil {
		t.Fatal(err)
	}
	if r := f.wablock("doctor"); strings.Contains(r.out, "paused") {
		t.Errorf("the advice does not help: %s", r.out)
	}
}

// TestDoctorFindsWhatHoldsCallsBack: nothing that an operator has set, or that keeps calls from going, is ok.
func TestDoctorFindsWhatHoldsCallsBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	rate, id := "rate of phone number ID "+phoneNumberID, "phone number ID "+phoneNumberID
	if c := f.wablock("doctor", "--json").checks(); c[rate] != "" || c[id] != "" {
		t.Errorf("where nothing does: %v", c)
	}
	for name, c := range map[string]struct {
		set, end []string
		check    string
		says     string
	}{
		"pin":   {[]string{"limits", "pin", "0.01"}, []string{"limits", "release"}, rate, "pinned at 0.01 calls a second"},
		"cap":   {[]string{"limits", "cap", "0.5"}, []string{"limits", "release"}, rate, "capped at 0.5 calls a second"},
		"pause": {[]string{"pause", "--reason", "wrong file"}, []string{"resume"}, id, "wrong file"},
	} {
		f.wablock(c.set...).exits(exitDone)
		if r := f.wablock("doctor", "--json"); r.checks()[c.check] != "warning" || !strings.Contains(r.out, c.says) {
			t.Errorf("%s: %s", name, r.out)
		}
		f.wablock(c.end...).exits(exitDone)
		if got := f.wablock("doctor", "--json").checks()[c.check]; got != "" {
			t.Errorf("after the end of a %s: %s", name, got)
		}
	}
}

// TestDoctorFindsAFullRedis, which refuses new requests.
func TestDoctorFindsAFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	f := setup(t).with("WABLOCK_REDIS_URL", "redis://"+server.Addr)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = rdb.Close() }()
	info, err := rdb.InfoMap(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	used, err := strconv.Atoi(info["Memory"]["used_memory"])
	if err != nil {
		t.Fatal(err)
	}
	for want, limit := range map[string]int{"": 0, "ok": 1000 * used, "failed": used / 2} {
		rdb.ConfigSet(t.Context(), "maxmemory", strconv.Itoa(limit))
		if r := f.wablock("doctor", "--json"); r.checks()["Redis memory"] != want {
			t.Errorf("%d bytes used, maxmemory %d: want %q: %s", used, limit, want, r.out)
		}
	}
}
