package learnbench

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// seeds of every line of the table.
const seeds = 10

// BenchmarkLearn plays every scenario with every contender in simulated time and reports shares of the true limit. What it
// takes on the clock says nothing. With -v the table of docs/rate-limiting.md follows.
//
//	go test ./ratelimit/learnbench -run '^$' -bench Learn -benchtime 1x -v
func BenchmarkLearn(b *testing.B) {
	var rows []string
	for _, s := range scenarios() {
		cells := []string{s.name, fmt.Sprint(s.limit), fmt.Sprint(s.processes)}
		for _, c := range contenders() {
			name := fmt.Sprintf("%s/%vps/%dp/%s", strings.NewReplacer(" ", "-", ",", "").Replace(s.name), s.limit, s.processes, c.name)
			var m result
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					m = mean(playAll(s, c))
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(100*m.used, "%used")
				b.ReportMetric(100*m.rejected, "%rejected")
				if s.restored {
					b.ReportMetric(m.regained, "s-to-80%")
				}
				if s.users > 0 {
					b.ReportMetric(m.found, "rejected-to-cap")
					b.ReportMetric(100*m.filled, "%filled")
				}
			})
			cells = append(cells, cell(s, m))
		}
		cells = append(cells, ceilingCell(s))
		rows = append(rows, "| "+strings.Join(cells, " | ")+" |")
	}
	if testing.Verbose() {
		printTable(rows)
	}
}

func playAll(s scenario, c contender) []result {
	results := make([]result, seeds)
	var wg sync.WaitGroup
	for seed := range results {
		wg.Go(func() { results[seed], _ = play(s, c, uint64(seed)) })
	}
	wg.Wait()
	return results
}

// cell is used / rejected, and what else a scenario is about.
func cell(s scenario, m result) string {
	text := fmt.Sprintf("%.1f / %.1f", 100*m.used, 100*m.rejected)
	if s.restored {
		text += fmt.Sprintf(", %.0f s", m.regained)
	}
	if s.users > 0 {
		text += fmt.Sprintf(", %.0f to find, %.0f %% full", m.found, 100*m.filled)
	}
	return text
}

func printTable(rows []string) {
	head := []string{"true limiter", "calls/s", "processes"}
	for _, c := range contenders() {
		head = append(head, c.name)
	}
	head = append(head, "ceiling")
	fmt.Fprintf(os.Stdout, "\n| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, r := range rows {
		fmt.Fprintln(os.Stdout, r)
	}
}
