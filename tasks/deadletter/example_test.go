package deadletter_test

import (
	"context"
	"fmt"
	"log"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
)

func ExampleQueue() {
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
	dead := deadletter.New(rdb)
	if err := dead.Put(ctx, letter(1, 1), letter(2, 1)); err != nil { // as a worker does
		log.Fatal(err)
	}

	outsideWindow := deadletter.Filter{Codes: []int{131047}}
	for e, err := range dead.All(ctx, outsideWindow) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.User, e.Operation, e.Code) // masked; Reveal shows who it is
	}
	report, err := deadletter.Redrive(ctx, dead, producer, outsideWindow, deadletter.RedriveOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Redriven, "redriven")

	// Unordered output:
	// +165…01 block 131047
	// +165…02 block 131047
	// 2 redriven
}
