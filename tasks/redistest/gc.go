package redistest

import (
	"os"
	"runtime/debug"
	"sync"
)

// collectLess makes garbage collections rarer in a process that runs miniredis, unless GOGC says
// otherwise. miniredis makes a Lua interpreter for every script that it runs, all of it garbage at
// once; collecting that took a fifth of the processor time of the tests with scripts.
var collectLess = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
})
