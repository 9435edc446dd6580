package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks"
)

// banner says what runs where, and how to use it from another shell.
func (a *app) banner(d *dev) {
	redisURL := "redis://" + d.redis.Addr() + "/0"
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	line("  %s  everything in one process, on loopback", a.bold("wablock dev"))
	line("  Nothing here outlives the process, and nothing real is touched.")
	line("")
	if d.service.server != nil {
		pages := "http://" + d.service.server.Addr().String()
		line("  web UI          %s/monitor/", pages)
		line("  metrics         %s/metrics", pages)
	}
	line("  simulated API   http://%s   (its journal: /_simulator/journal)", d.api.Addr())
	line("  embedded Redis  %s", redisURL)
	line("")
	line("  From another shell:")
	line("    export WABLOCK_REDIS_URL=%s WABLOCK_PHONE_NUMBER_ID=%s", redisURL, devPhoneNumberID)
	line("    export WABLOCK_GRAPH_URL=http://%s WABLOCK_ACCESS_TOKEN=%s", d.api.Addr(), devToken)
	line("    go run ./cmd/wablock block +14155550100 --wait")
	line("    go run ./cmd/wablock dead-letter list")
	line("    go run ./cmd/wablock list")
	line("")
	_, _ = a.err.Write([]byte(b.String()))
}

func (a *app) bold(s string) string {
	if !a.onTerminal() {
		return s
	}
	return text.Bold.Sprint(s)
}

// summarise prints what came of the sample, and returns an error if it is not what must be.
func (a *app) summarise(r devSummary, s sample, jobs []tasks.Job) error {
	r.Rejected = s.rejected
	if a.json {
		if err := printOne(a.out, r); err != nil {
			return err
		}
	} else if err := a.summaryTable(r); err != nil {
		return err
	}
	switch {
	case r.Unexpected > 0:
		return fmt.Errorf("%s ended otherwise than the sample says; see `wablock status` and the web UI", count(r.Unexpected, "number"))
	case r.Rejected > 0:
		return partlyf("%s rejected", count(r.Rejected, "line"))
	}
	a.say("every number of %s ended as it must", count(len(jobs), "job"))
	return nil
}

func (a *app) summaryTable(r devSummary) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendRow(table.Row{"succeeded", thousands(r.Succeeded), ""})
	for _, code := range slices.Sorted(maps.Keys(r.DeadLettered)) {
		t.AppendRow(table.Row{"dead-lettered", thousands(r.DeadLettered[code]), meaning(code)})
	}
	t.AppendSeparator()
	t.AppendRow(table.Row{"API calls", thousands(int(r.Calls)), "of up to " + fmt.Sprint(devUsersPerCall) + " numbers"})
	t.AppendRow(table.Row{"rate-limit hits", thousands(int(r.RateLimitHits)), "while the hidden limit was learnt"})
	t.AppendRow(table.Row{"took", r.Took, ""})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight}})
	_, err := fmt.Fprintln(a.out, t.Render())
	return err
}

// meaning explains a code in a few words, by the client's table.
func meaning(code string) string {
	for _, r := range client.Rules() {
		if fmt.Sprint(r.Code) == code {
			return code + ": " + r.Name
		}
	}
	return code + ": the API never named the number"
}
