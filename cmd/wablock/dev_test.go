package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/wablock/wablock/client/simulator"
)

// A number that must die with a code dies alone in its call; were that call cut, it would die
// without one, and `dev --once` would fail every other time.
func TestDevCutsNoNumberThatMustFail(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{"built in": builtIn(), "one that fails": {steps: []sampleStep{{users: builtIn().steps[1].users}}}} {
		for _, f := range devScenario(s).Faults {
			if f.Effect != simulator.EffectReset {
				continue
			}
			if len(f.Users) == 0 {
				t.Errorf("%s: the fault %q hits every call", name, f.Name)
			}
			for _, u := range f.Users {
				if mustFail[u] != (fate{}) {
					t.Errorf("%s: the fault %q hits %s, which must fail with %d", name, f.Name, u, mustFail[u].code)
				}
			}
		}
	}
}

func TestDevStaysUpAfterASampleThatFailed(t *testing.T) {
	t.Parallel()
	out := &bytes.Buffer{}
	d := &dev{cli: &cli{err: out}}
	err := d.said(partlyf("1 line rejected"))
	if got := exitCode(t.Context(), err, true); got != exitPartly || err.Error() != "" {
		t.Errorf("exit code %d, text %q", got, err)
	}
	if !strings.Contains(out.String(), "1 line rejected") || d.said(nil) != nil {
		t.Errorf("said %q", out)
	}
}
