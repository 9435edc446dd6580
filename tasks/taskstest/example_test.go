package taskstest_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/taskstest"
)

// blocker has the methods of a producer that the service below uses: those of *tasks.Producer, and of the fake.
type blocker interface {
	Block(ctx context.Context, numbers []string, opts ...tasks.Option) (tasks.Job, error)
	Wait(ctx context.Context, jobID string) (tasks.JobStatus, error)
}

var _ blocker = (*tasks.Producer)(nil)

// report is a service that blocks those who were reported.
func report(ctx context.Context, b blocker, caseID string, numbers []string) (string, error) {
	job, err := b.Block(ctx, numbers, tasks.WithJobID(caseID), tasks.WithReason("reported"))
	if err != nil {
		return "", err
	}
	s, err := b.Wait(ctx, job.ID)
	return fmt.Sprintf("%d blocked, %d failed, %d not numbers", s.Succeeded, s.DeadLettered, s.Rejected), err
}

// A test of a service settles what it asks for, without Redis or a worker.
func Example() {
	fake, err := taskstest.New(tasks.ProducerConfig{PhoneNumberID: "106540352242922"})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer := make(chan string, 1)
	go func() {
		text, err := report(ctx, fake, "case-7", []string{"+16505551234", "+442079460018", "unknown"})
		answer <- fmt.Sprint(text, " ", err)
	}()
	if err := fake.Await(ctx, 1); err != nil { // until the service has asked
		log.Fatal(err)
	}
	r := fake.Requests()[0]
	fmt.Println(r.Operation, len(r.Users), r.JobID, r.Reason)
	if err := fake.DeadLetter("case-7", 131047, "Re-engagement message", "+442079460018"); err != nil {
		log.Fatal(err)
	}
	if err := fake.Succeed("case-7"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-answer)

	// Output:
	// block 2 case-7 reported
	// 1 blocked, 1 failed, 1 not numbers <nil>
}
