package worker_test

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
)

// TestStaleDeadLetterIsRemoved: a worker died after the ledger knew of a user's success, and
// before the user's dead letter was removed. No request names the user again.
func TestStaleDeadLetterIsRemoved(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		const number = "+15550131047" // the simulated API refuses its blocks for good
		id, err := user.Parse(number)
		if err != nil {
			t.Fatal(err)
		}
		there := func() bool {
			_, found := taskfixture.Letter(t, w.dead, phoneNumberID, id)
			return found
		}
		stop := w.run()
		if p := w.settled(w.enqueue(ledger.Block, number)); p.DeadLettered != 1 {
			t.Fatalf("%+v", p)
		}
		w.eventually("it is dead-lettered", there)
		stop()
		w.enqueue(ledger.Unblock, number)
		l := ledger.New(w.rdb, phoneNumberID)
		c, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: "dies", Max: 1, Timeout: time.Minute})
		if err != nil || len(c.Users) != 1 {
			t.Fatal(c, err)
		}
		if _, err := l.Settle(t.Context(), c.ID, []ledger.Settlement{{User: id, Version: c.Users[0].Version, Do: ledger.Succeed}}); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.eventually("its dead letter is removed", func() bool { return !there() })
		if n, err := w.rdb.SCard(t.Context(), "wablock:{"+phoneNumberID+"}:dead").Result(); n != 0 || err != nil {
			t.Errorf("%d are left in the index, %v", n, err)
		}
	})
}

// TestDeadLetterThatComesBack: a user succeeds, and the letter is removed; then Redis fails, and has lost the removal alone,
// which came a moment after the ledger's settlement. Nothing names the user again.
func TestDeadLetterThatComesBack(t *testing.T) {
	t.Parallel()
	const pulse = "wablock:workers:pulse"
	for name, fail := range map[string]func(b *bubble){
		"a failover that no command met": func(b *bubble) {
			for id := range b.rdb.HGetAll(b.t.Context(), pulse).Val() {
				b.rdb.HIncrBy(b.t.Context(), pulse, id, -2)
			}
		},
		"an outage": func(b *bubble) {
			b.mini.SetError("LOADING Redis is loading the dataset in memory")
			<-time.After(3 * time.Second)
			b.mini.SetError("")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
				const number = "+15550131047" // the simulated API refuses its blocks for good
				stop := b.run()
				defer func() {
					stop()
					<-time.After(time.Second) // a subscription of go-redis that has failed sleeps before it ends
				}()
				b.settled(b.enqueue(ledger.Block, number))
				b.eventually("it is dead-lettered", func() bool { return b.deadLetters() == 1 })
				id := b.rdb.ZRange(t.Context(), "asynq:{dead-letter}:scheduled", 0, 0).Val()[0]
				letter, err := asynq.NewInspectorFromRedisClient(b.rdb).GetTaskInfo(queues.DeadLetter, id)
				if err != nil {
					t.Fatal(err)
				}
				b.settled(b.enqueue(ledger.Unblock, number))
				b.eventually("its dead letter is removed", func() bool { return b.deadLetters() == 0 })
				<-time.After(time.Minute) // the worker's first pass is over
				fail(b)
				_, err = asynq.NewClientFromRedisClient(b.rdb).Enqueue(asynq.NewTask(letter.Type, letter.Payload), asynq.TaskID(id),
					asynq.Queue(queues.DeadLetter), asynq.ProcessIn(24*time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				b.rdb.SAdd(t.Context(), "wablock:{"+phoneNumberID+"}:dead", number)
				b.eventually("it is removed again", func() bool { return b.deadLetters() == 0 })
			})
		})
	}
}
