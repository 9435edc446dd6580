package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/wablock/wablock/client"
)

// Keys of log attributes.
const (
	keyPhoneNumberID = "phone_number_id"
	keyTaskID        = "task_id"
	keyTaskType      = "task_type"
	keyQueue         = "queue"
	keyOperation     = "operation"
	keyUsers         = "users"
	keySucceeded     = "succeeded"
	keyTook          = "took"
	keyOutcome       = "outcome"
	keyError         = "error"
	keyState         = "state"
	keyReason        = "reason"
	keyHelp          = "help"
	keyWait          = "wait"
	keyFull          = "full"
	keyRepeated      = "repeated"
)

// complainEvery is how often one complaint is logged at the most: an outage of hours must not
// flood the logs.
const complainEvery = time.Minute

// complaints collapses errors that repeat. Safe for concurrent use.
type complaints struct {
	mu   sync.Mutex
	seen map[string]*complaint
}

type complaint struct {
	logged   time.Time
	repeated int
}

// complain logs an error under a constant message, once a minute at the most, with how often
// it has happened since.
func (w *Worker) complain(log *slog.Logger, message string, err error) {
	if errors.Is(err, context.Canceled) && !w.running() {
		return
	}
	c := &w.complaints
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]*complaint{} // by constant messages: it stays small
	}
	k := c.seen[message]
	if k == nil {
		k = &complaint{}
		c.seen[message] = k
	}
	if now := time.Now(); now.Sub(k.logged) >= complainEvery {
		log.Error(message, keyError, err.Error(), keyRepeated, k.repeated)
		k.logged, k.repeated = now, 0
		return
	}
	k.repeated++
}

// outcomeName names a call's outcome for logs and metrics.
func outcomeName(err error) string {
	if err == nil {
		return "answered"
	}
	return client.Classify(err).Name
}

func asAPIError(err error) (*client.APIError, bool) {
	return errors.AsType[*client.APIError](err)
}

// asynqLogger hands asynq's own messages to slog.
type asynqLogger struct{ log *slog.Logger }

func (l asynqLogger) Debug(args ...any) { l.log.Debug("asynq", keyReason, sprint(args)) }
func (l asynqLogger) Info(args ...any)  { l.log.Debug("asynq", keyReason, sprint(args)) }

// Warn leaves out that the janitor's batch is larger than asynq recommends: it is meant so.
func (l asynqLogger) Warn(args ...any) {
	if text := sprint(args); !strings.HasPrefix(text, "Janitor batch size") {
		l.log.Warn("asynq", keyReason, text)
	}
}
func (l asynqLogger) Error(args ...any) { l.log.Error("asynq", keyReason, sprint(args)) }
func (l asynqLogger) Fatal(args ...any) { l.log.Error("asynq", keyReason, sprint(args)) }
