package acceptance

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// cpu is the time that a process has computed.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	// The name in brackets may hold spaces; utime and stime are the 12th and 13th field after it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var user, system int
	scan(p.t, strings.Join(fields[11:13], " "), "%d %d", &user, &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// peakMemory is the most that a process has had in memory, in bytes.
func (p *process) peakMemory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var kb int
	scan(p.t, lineWith(p.t, string(status), "VmHWM:"), "%d kB", &kb)
	return kb << 10
}

// redisMemory returns the memory that Redis reports as used, in bytes.
func (s *system) redisMemory() int {
	s.t.Helper()
	var n int
	scan(s.t, lineWith(s.t, s.info("memory"), "used_memory:"), "%d", &n)
	return n
}

// redisCPU is the time that Redis says it has computed.
func (s *system) redisCPU() time.Duration {
	s.t.Helper()
	info := s.info("cpu")
	var user, system float64
	scan(s.t, lineWith(s.t, info, "used_cpu_user:"), "%g", &user)
	scan(s.t, lineWith(s.t, info, "used_cpu_sys:"), "%g", &system)
	return time.Duration((user + system) * float64(time.Second))
}

func (s *system) info(section string) string {
	s.t.Helper()
	info, err := s.rdb.Info(s.t.Context(), section).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return info
}

// lineWith returns the rest of the line that begins with prefix.
func lineWith(t testing.TB, text, prefix string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, prefix); found {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no line begins with %q", prefix)
	return ""
}

func scan(t testing.TB, text, format string, into ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(text, format, into...); err != nil {
		t.Fatalf("%q is not as %q: %v", text, format, err)
	}
}
