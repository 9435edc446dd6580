package main

import (
	"cmp"
	"context"
	"os"
	osuser "os/user"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/ledger"
)

// requester holds the flag that names who asks for a change.
type requester struct {
	by string
}

func (r *requester) addBy(f *pflag.FlagSet) {
	f.StringVar(&r.by, "by", "", "`name` of who asks for it (default USER@host)")
}

func (r *requester) checkBy() error { return checkText("by", r.by, ledger.MaxBy) }

// name returns who asks.
func (r *requester) name(c *cli) string {
	if r.by != "" {
		return r.by
	}
	who := cmp.Or(c.env["USER"], c.env["LOGNAME"])
	if u, err := osuser.Current(); who == "" && err == nil {
		who = u.Username
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return cmp.Or(who, "unknown")
	}
	return cmp.Or(who, "unknown") + "@" + host
}

// checkText refuses a text of a flag that is too long for what it is shown in, or can't be shown.
func checkText(flag, text string, most int) error {
	if err := ledger.CheckText("--"+flag, text, most); err != nil {
		return usagef("%v", err)
	}
	return nil
}

// recordDone writes what was done into the audit log. Without it the work counts all the same.
func recordDone(ctx context.Context, c *cli, rdb redis.UniversalClient, e audit.Event) {
	if err := audit.Record(ctx, rdb, e); err != nil {
		c.say("warning: it was done, but could not be written into the audit log: %v", err)
	}
}
