package metrics_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

func TestReconciled(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	began := time.Unix(1_700_000_000, 0)
	good := reconcile.Record{PhoneNumberID: "106", StartedAt: began, EndedAt: began.Add(5 * time.Second)}
	stopped := good
	stopped.EndedAt = began.Add(90 * time.Second)
	stopped.Actual, stopped.ToBlock, stopped.ToUnblock, stopped.LeftAlone = 5_000, 3, 40, 7
	stopped.Guards = []plan.Violation{{Guard: plan.GuardShare}}
	failed := good
	failed.Error, failed.EndedAt = "the API", began.Add(200*time.Second)
	for _, r := range []reconcile.Record{good, stopped, failed} {
		m.Reconciled(r)
	}
	m.Standing("106", reconcile.Standing{Last: stopped, Planned: stopped, Good: good, Overdue: began.Add(48 * time.Hour)})
	m.Standing("106", reconcile.Standing{Last: failed, Good: good, Overdue: began.Add(48 * time.Hour)}) // long after: no plan among the recent
	m.Standing("107", reconcile.Standing{Last: reconcile.Record{StartedAt: began, EndedAt: began}})
	m.Standing("108", reconcile.Standing{Overdue: began.Add(48 * time.Hour)})
	m.Kept("106", 2, 5)
	want := `
wablock_blocklist_capacity{phone_number_id="106"} 64000
wablock_blocklist_users{phone_number_id="106"} 5000
wablock_ledger_repaired_users_total{action="forgotten",phone_number_id="106"} 5
wablock_ledger_repaired_users_total{action="requeued",phone_number_id="106"} 2
wablock_reconcile_guard_trips_total{guard="share",phone_number_id="106"} 1
wablock_reconcile_last_duration_seconds{phone_number_id="106"} 200
wablock_reconcile_last_duration_seconds{phone_number_id="107"} 0
wablock_reconcile_last_guard_tripped{guard="share",phone_number_id="106"} 1
wablock_reconcile_last_run_timestamp_seconds{phone_number_id="106"} 1.7000002e+09
wablock_reconcile_last_run_timestamp_seconds{phone_number_id="107"} 1.7e+09
wablock_reconcile_last_success_timestamp_seconds{phone_number_id="106"} 1.700000005e+09
wablock_reconcile_last_success_timestamp_seconds{phone_number_id="108"} 0
wablock_reconcile_overdue_timestamp_seconds{phone_number_id="106"} 1.7001728e+09
wablock_reconcile_overdue_timestamp_seconds{phone_number_id="108"} 1.7001728e+09
wablock_reconcile_drift_users{kind="ambiguous",phone_number_id="106"} 0
wablock_reconcile_drift_users{kind="left_alone",phone_number_id="106"} 7
wablock_reconcile_drift_users{kind="to_adopt",phone_number_id="106"} 0
wablock_reconcile_drift_users{kind="to_block",phone_number_id="106"} 3
wablock_reconcile_drift_users{kind="to_unblock",phone_number_id="106"} 40
wablock_reconcile_runs_total{phone_number_id="106",result="done"} 1
wablock_reconcile_runs_total{phone_number_id="106",result="failed"} 1
wablock_reconcile_runs_total{phone_number_id="106",result="stopped"} 1
`
	expect(t, m, want, "wablock_blocklist_capacity", "wablock_blocklist_users", "wablock_ledger_repaired_users_total", "wablock_reconcile_guard_trips_total", "wablock_reconcile_last_duration_seconds",
		"wablock_reconcile_last_guard_tripped", "wablock_reconcile_last_run_timestamp_seconds",
		"wablock_reconcile_last_success_timestamp_seconds", "wablock_reconcile_runs_total", "wablock_reconcile_overdue_timestamp_seconds",
		"wablock_reconcile_drift_users")
}
