package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
)

// TestPokesLeaveRoomForTasks: any client that can publish can make up phone number IDs, and must not keep
// a task from its lane with them.
func TestPokesLeaveRoomForTasks(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		stop := b.run()
		<-time.After(time.Second) // until it listens
		for i := range 2500 {
			if err := b.rdb.Publish(t.Context(), ledger.WakeChannel, fmt.Sprint(5_000_000+i)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		job := b.enqueue(ledger.Block, numbersFrom(0, 1)...)
		b.settledWithin(job, 5*time.Second)
		stop()
	})
}
