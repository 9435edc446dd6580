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

// probesEvery is how often a lane says that its probes still fail.
const probesEvery = 15 * time.Minute

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
	if repeated, due := w.complaints.due(message, complainEvery); due {
		log.Error(message, keyError, err.Error(), keyRepeated, repeated) //nolint:sloglint // every caller's is constant
	}
}

// due reports whether a message is to be logged again, and how often it was not since.
func (c *complaints) due(message string, every time.Duration) (repeated int, due bool) {
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
	now := time.Now()
	if now.Sub(k.logged) < every {
		k.repeated++
		return 0, false
	}
	repeated = k.repeated
	k.logged, k.repeated = now, 0
	return repeated, true
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

// asynqLogger hands asynq's own messages to slog, those of one kind once a minute at the most:
// without Redis it has several a second.
type asynqLogger struct {
	log        *slog.Logger
	complaints *complaints
}

func (l asynqLogger) Debug(args ...any) { l.log.Debug("asynq", keyReason, sprint(args)) }
func (l asynqLogger) Info(args ...any)  { l.log.Debug("asynq", keyReason, sprint(args)) }

// Warn leaves out that the janitor's batch is larger than asynq recommends: it is meant so.
func (l asynqLogger) Warn(args ...any) {
	if text := sprint(args); !strings.HasPrefix(text, "Janitor batch size") {
		l.say(slog.LevelWarn, text)
	}
}
func (l asynqLogger) Error(args ...any) { l.say(slog.LevelError, sprint(args)) }
func (l asynqLogger) Fatal(args ...any) { l.say(slog.LevelError, sprint(args)) }

func (l asynqLogger) say(level slog.Level, text string) {
	if repeated, due := l.complaints.due("asynq: "+kind(text), complainEvery); due {
		l.log.Log(context.Background(), level, "asynq", keyReason, text, keyRepeated, repeated)
	}
}

// kind is what messages have in common that differ in what they name: their first words.
func kind(text string) string {
	words := strings.Fields(text)
	return strings.Join(words[:min(3, len(words))], " ")
}
