package tasks_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
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
	fmt.Printf("%s: %d of %d users have not ended\n", status.State, status.Pending, status.Accepted)

	// In a week they may write again; in bulk, since it is not urgent.
	_, err = producer.Unblock(ctx, numbers[:2], tasks.WithDelay(7*24*time.Hour), tasks.WithQueue(tasks.Bulk))
	fmt.Println(err)

	// Output:
	// job spam-report-42: 2 accepted, 1 task in interactive
	// input 3: holds a character that no phone number has
	// job spam-report-42: 2 accepted, 1 task in interactive
	// input 3: holds a character that no phone number has
	// waiting: 2 of 2 users have not ended
	// <nil>
}
