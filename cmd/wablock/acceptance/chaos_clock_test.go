package acceptance

import (
	endian "encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// clock steps the wall clock of a redis-server that is started with its environment. Where there is no C
// compiler it steps nothing.
type clock struct {
	t      testing.TB
	env    []string
	file   *os.File
	offset time.Duration
}

func newClock(t testing.TB) *clock {
	t.Helper()
	c := &clock{t: t}
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Log("no C compiler: Redis's clock takes no steps")
		return c
	}
	dir := t.TempDir()
	library, offset := filepath.Join(dir, "clock.so"), filepath.Join(dir, "offset")
	if out, err := exec.Command(compiler, "-shared", "-fPIC", "-O2", "-o", library, "testdata/clock.c").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	if c.file, err = os.Create(offset); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.file.Close() })
	c.set(0)
	c.env = []string{"LD_PRELOAD=" + library, "WABLOCK_CLOCK_OFFSET=" + offset}
	return c
}

// set sets the clock so much forward, in whole seconds.
func (c *clock) set(offset time.Duration) {
	c.t.Helper()
	if c.file == nil {
		return
	}
	c.offset = offset
	seconds := endian.NativeEndian.AppendUint64(nil, uint64(int64(offset/time.Second)))
	if _, err := c.file.WriteAt(seconds, 0); err != nil {
		c.t.Fatal(err)
	}
}
