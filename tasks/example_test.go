package tasks_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// Another service blocks and unblocks users. With the ID of its own event as the job ID it
// may ask again whenever it does not know whether it has asked.
func Example() {
	server, err := miniredis.Run() // in place of the Redis that the workers use
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	ctx := context.Background()

	producer, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: "106540352242922"})
	if err != nil {
		log.Fatal(err)
	}
	numbers := []string{"+1 (650) 555-1234", "0044 20 7946 0018", "call me"}
	for range 2 {
		job, err := producer.Block(ctx, numbers, tasks.WithJobID("spam-report-42"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("job %s: %d accepted, %d task in %s\n", job.ID, job.Accepted, job.Tasks, job.Queue)
		for _, r := range job.Rejected {
			fmt.Printf("input %d: %s\n", r.Line, r.Reason)
		}
	}
	status, err := producer.Job(ctx, "spam-report-42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d of %d tasks have ended, %d users wait\n", status.Ended, status.Tasks, status.Pending)

	// In a week they may write again; in bulk, since nobody waits for it.
	_, err = producer.Unblock(ctx, numbers[:2], tasks.WithDelay(7*24*time.Hour), tasks.WithQueue(ledger.Bulk))
	fmt.Println(err)

	// Output:
	// job spam-report-42: 2 accepted, 1 task in interactive
	// input 3: holds a character that no phone number has
	// job spam-report-42: 2 accepted, 1 task in interactive
	// input 3: holds a character that no phone number has
	// 0 of 1 tasks have ended, 2 users wait
	// <nil>
}

func ExampleDeadLetters() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	ctx := context.Background()
	producer, err := tasks.NewProducer(rdb, tasks.ProducerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	dead := tasks.NewDeadLetters(rdb)
	if err := dead.Put(ctx, entry(1, 1), entry(2, 1)); err != nil { // as a worker does
		log.Fatal(err)
	}

	outsideWindow := tasks.Filter{Codes: []int{131047}}
	for e, err := range dead.All(ctx, outsideWindow) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.User, e.Operation, e.Code) // masked; Reveal shows who it is
	}
	report, err := dead.Redrive(ctx, producer, outsideWindow, tasks.RedriveOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Redriven, "redriven")

	// Unordered output:
	// +165…01 block 131047
	// +165…02 block 131047
	// 2 redriven
}
