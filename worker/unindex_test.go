package worker_test

import (
	"testing"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
)

// TestEndedTasksLeaveTheIndex: the index of a phone number ID's tasks is empty soon after they have ended.
func TestEndedTasksLeaveTheIndex(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		b.run()
		b.settled(b.enqueue(ledger.Block, "+16505550001"))
		b.settled(b.enqueue(ledger.Unblock, "+16505550001"))
		b.eventually("the index is empty", func() bool {
			n, err := b.rdb.ZCard(t.Context(), "wablock:{"+phoneNumberID+"}:tasks").Result()
			return err == nil && n == 0
		})
	})
}
