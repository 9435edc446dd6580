package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/user"
)

// mustUsers parses numbers that an example knows to be good.
func mustUsers(numbers ...string) []user.ID {
	users := make([]user.ID, len(numbers))
	for i, number := range numbers {
		id, err := user.Parse(number)
		if err != nil {
			panic(err)
		}
		users[i] = id
	}
	return users
}

// serve answers every request with status and body, and returns a client of it.
func serve(status int, body string) (*client.Client, func()) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	c, err := client.New(srv.URL, "v25.0", secret.Static(secret.New("EAAJB...")))
	if err != nil {
		panic(err)
	}
	return c, srv.Close
}

// A mixed answer comes with status 400, and is no error: each user has an outcome.
func ExampleClient_Block() {
	c, stop := serve(http.StatusBadRequest, refMixed)
	defer stop()
	result, err := c.Block(context.Background(), "106540352242922", mustUsers("+1 650 555 1234", "+1 415 555 9876"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range result.Outcomes {
		if o.State == client.Failed {
			fmt.Println(o.User, o.State, "→", client.Classify(o.Error).Remedy)
			continue
		}
		fmt.Println(o.User, o.State)
	}
	// Output:
	// +165…34 succeeded
	// +141…76 failed → dead-letter
}

func ExampleClient_List() {
	c, stop := serve(http.StatusOK, refPage)
	defer stop()
	for entry, err := range c.List(context.Background(), "106540352242922", client.ListOptions{Limit: 10}) {
		if err != nil {
			fmt.Println(err) // what came before is no whole list
			return
		}
		fmt.Println(entry.WaID)
	}
	// Output:
	// 16505551234
	// 14155559876
}

// A caller that must pace its requests sends the pages itself; Walk says which, and when the
// list has ended.
func ExampleWalk() {
	c, stop := serve(http.StatusOK, refPage)
	defer stop()
	w := client.NewWalk(client.ListOptions{Limit: 10})
	for opts, done := w.Options(), false; !done; {
		page, err := c.ListPage(context.Background(), "106540352242922", opts)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(page.Entries), "users")
		if opts, done, err = w.Next(page); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output: 2 users
}

func ExampleClassify() {
	c, stop := serve(http.StatusBadRequest, refError)
	defer stop()
	_, err := c.Unblock(context.Background(), "106540352242922", mustUsers("+1 650 555 1234"))
	rule := client.Classify(err)
	fmt.Println(rule.Name, "→", rule.Remedy, "for the", rule.Scope)
	fmt.Println("uses up an attempt:", rule.UsesAttempt)
	// Output:
	// rate limit hit → rate limit for the phone number
	// uses up an attempt: false
}
