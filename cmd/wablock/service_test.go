package main

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/metrics"
)

// TestMetricsKnowConfiguredNumbers, so that others can't take their series.
func TestMetricsKnowConfiguredNumbers(t *testing.T) {
	t.Parallel()
	f := setup(t).with("WABLOCK_HTTP_ADDR", "")
	cfg, err := config.Load(config.Input{LookupEnv: func(name string) (string, bool) { v, ok := f.env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	n, err := newNumbers(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	var m *metrics.Metrics
	if _, err := newService(cfg, n, f.rdb, log, func(_ *worker.Config, made *metrics.Metrics) { m = made }); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		m.Kept(fmt.Sprint(999_000+i), 1, 0)
	}
	m.Kept(phoneNumberID, 1, 0)
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, family := range families {
		if family.GetName() == "wablock_ledger_kept_users_total" {
			for _, series := range family.GetMetric() {
				ids = append(ids, series.GetLabel()[0].GetValue())
			}
		}
	}
	if !slices.Contains(ids, phoneNumberID) {
		t.Errorf("%s has no series of its own among %d", phoneNumberID, len(ids))
	}
}
