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

// A service that is told of one user at a time, a thousand times a second, asks through a Batcher: its requests travel as
// jobs of up to a thousand users.
func ExampleBatcher() {
	server, err := miniredis.Run() // in place of the Redis that the workers use
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	producer, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: "106540352242922"})
	if err != nil {
		log.Fatal(err)
	}
	batcher, err := tasks.NewBatcher(producer, tasks.BatcherConfig{Wait: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	var pending []*tasks.Pending
	for _, number := range []string{"+1 (650) 555-1234", "+44 20 7946 0018", "+1 650 555 1235"} {
		p, err := batcher.Add(ctx, tasks.Block, number, tasks.WithReason("spam"))
		if err != nil {
			log.Fatal(err)
		}
		pending = append(pending, p)
	}
	if err := batcher.Close(ctx); err != nil { // at the end of the service: it sends what waits for more
		log.Fatal(err)
	}
	jobs := map[string]int{}
	for _, p := range pending {
		job, err := p.Wait(ctx) // nil: it is in Redis
		if err != nil {
			log.Fatal(err)
		}
		jobs[job.ID] += job.Accepted
	}
	for _, users := range jobs {
		fmt.Println("one job of", users, "users")
	}

	// Output:
	// one job of 3 users
}
