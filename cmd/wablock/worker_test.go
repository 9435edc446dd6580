package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks/redistest"
)

// startWorker starts a worker as a process of its own, and returns it with its log and the URL of its
// pages once it listens.
func (f *fixture) startWorker(flags ...string) (cmd *exec.Cmd, log io.ReadCloser, url string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), patience)
	f.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, os.Args[0], append([]string{"worker", "--http-addr", "127.0.0.1:0", "--log-format", "text"}, flags...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	for k, v := range f.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	log, err := cmd.StderrPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	lines := bufio.NewReader(log)
	for url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			f.Fatalf("it ended without listening: %v", err)
		}
		if m := regexp.MustCompile(`listening.*addr=(\S+)`).FindStringSubmatch(line); m != nil {
			url = "http://" + m[1]
		}
	}
	return cmd, log, url
}

// ready waits until the worker at url says that it is.
func (f *fixture) ready(url string) {
	f.Helper()
	f.await(func() bool {
		req, err := http.NewRequestWithContext(f.Context(), http.MethodGet, url+"/readyz", nil)
		if err != nil {
			f.Fatal(err)
		}
		client := http.Client{Timeout: time.Second}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

// TestWorkerDrains: a lost terminal, or a lost reader of the log, ends a worker as gracefully as SIGTERM does.
func TestWorkerDrains(t *testing.T) {
	t.Parallel()
	t.Run("SIGHUP", func(t *testing.T) {
		t.Parallel()
		// A signal that this process ignores, as under nohup, would be ignored by the worker too.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
		g := setup(t).with("WABLOCK_REDIS_URL", "redis://"+redistest.Start(t).Addr)
		cmd, log, url := g.startWorker()
		g.ready(url)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, log)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("a lost log", func(t *testing.T) {
		t.Parallel()
		g := setup(t).with("WABLOCK_REDIS_URL", "redis://"+redistest.Start(t).Addr)
		cmd, log, url := g.startWorker()
		g.ready(url)
		_ = log.Close()
		g.wablock("block", number(1)).exits(exitDone) // which the worker logs
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != exitFailed {
			t.Errorf("%v, want exit code %d", cmd.ProcessState, exitFailed)
		}
	})
}

// TestAnotherGraphHost: of two workers on one Redis that call different hosts the second does not start.
func TestAnotherGraphHost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = rdb.Close() }()
	f := setup(t).with("WABLOCK_REDIS_URL", "redis://"+server.Addr)
	first, log, url := f.startWorker()
	f.ready(url)
	other := f.with("WABLOCK_GRAPH_URL", "https://graph.example.com")
	host := strings.TrimPrefix(f.env["WABLOCK_GRAPH_URL"], "http://")
	other.wablock("worker", "--http-addr", "").exits(exitUsage).says("graph.example.com", host, "--any-graph-host")
	if r := other.wablock("doctor"); !strings.Contains(r.out, "calls "+host) {
		t.Errorf("doctor has nothing of it: %s", r.out)
	}
	second, log2, _ := other.startWorker("--any-graph-host")
	for _, cmd := range []*exec.Cmd{first, second} {
		_ = cmd.Process.Kill()
	}
	_, _ = io.Copy(io.Discard, log)
	_, _ = io.Copy(io.Discard, log2)
	_, _ = first.Wait(), second.Wait()
	// The entries of dead workers hold no worker up for long.
	third, log3, _ := f.with("WABLOCK_GRAPH_URL", "http://127.0.0.1:9").startWorker()
	_ = third.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, log3)
	if err := third.Wait(); err != nil {
		t.Error(err)
	}
	if all, err := app.Workers(t.Context(), rdb); err != nil || len(all) != 0 {
		t.Errorf("left: %v, %v", all, err)
	}
}

// TestWorkerChecksBeforeItAsksRedis: what needs no network is refused although Redis is away.
func TestWorkerChecksBeforeItAsksRedis(t *testing.T) {
	t.Parallel()
	away := setup(t).with("WABLOCK_REDIS_URL", "redis://127.0.0.1:1")
	missing := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct{ variable, value, says string }{
		"HTTP token": {"WABLOCK_HTTP_TOKEN_FILE", missing, missing},
		"app secret": {"WABLOCK_APP_SECRET_FILE", missing, missing},
		"token":      {"WABLOCK_ACCESS_TOKEN_FILE", missing, missing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := away
			if name == "token" {
				f = f.without("WABLOCK_ACCESS_TOKEN")
			}
			g := *f.with(c.variable, c.value)
			g.T = t
			r := g.wablock("worker").exits(exitUsage).says(c.variable, c.says)
			if strings.Contains(r.err, "127.0.0.1:1") {
				t.Errorf("it asked Redis: %s", r.err)
			}
		})
	}
	t.Run("short HTTP token", func(t *testing.T) {
		t.Parallel()
		g := *away.with("WABLOCK_HTTP_TOKEN", "a")
		g.T = t
		g.wablock("worker", "--http-addr", "0.0.0.0:0").exits(exitUsage).says("WABLOCK_HTTP_TOKEN", "too short")
		g.wablock("worker", "--http-addr", "127.0.0.1:0").exits(exitFailed).says("Redis")
	})
}

// TestWorkerWaitsForItsSecrets: a file that is written at the moment of the start is no reason to end.
func TestWorkerWaitsForItsSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	f := setup(t).without("WABLOCK_ACCESS_TOKEN").with("WABLOCK_ACCESS_TOKEN_FILE", file).with("WABLOCK_REDIS_URL", "redis://127.0.0.1:1")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(3*secretPause, func() {
		if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
			t.Error(err)
		}
	})
	f.wablock("worker").exits(exitFailed).says("Redis")
}

func TestUnencryptedGraphURL(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.with("WABLOCK_GRAPH_URL", "http://graph.example.com").wablock("block", number(1)).exits(exitDone).says("unencrypted")
	if r := f.wablock("block", number(1)).exits(exitDone); strings.Contains(r.err, "unencrypted") {
		t.Errorf("on loopback: %s", r.err)
	}
}

// TestPanicIsNotWrongUsage, which has the exit code that Go gives a panic, and which a supervisor may take as a
// reason not to start the program again.
func TestPanicIsNotWrongUsage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var said strings.Builder
	if code := execute(t.Context(), []string{"version"}, f.env, strings.NewReader(""), panickingWriter{}, &said); code != exitFailed || !strings.Contains(said.String(), "internal error: broken") {
		t.Errorf("exit code %d, %s", code, &said)
	}
}

type panickingWriter struct{}

func (panickingWriter) Write([]byte) (int, error) { panic("broken") }
