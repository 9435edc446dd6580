// Package overview holds how the whole system stands in one value: what needs attention and what to do about it, each
// phone number ID, the dead letters by code, the last jobs, the workers and what was done in the last hour. The page at /,
// GET /v1/overview and `wablock top` show it.
//
// [Of] makes the value from [Facts], and reads nothing; [Reader] reads the facts from Redis, and reads them once for all
// who ask at about the same time. No user is named in it.
package overview

import (
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
)

// Overview shows how the system stands. Its JSON is that of GET /v1/overview and `wablock top --json`.
type Overview struct {
	At      time.Time `json:"at"`
	Version string    `json:"version,omitempty"` // of the program that answers
	// Attention holds what needs a person, the most urgent first.
	Attention []Notice `json:"attention"`
	// PhoneNumbers are in order of their IDs, those that need attention first.
	PhoneNumbers []PhoneNumber `json:"phone_numbers"`
	// MorePhoneNumbers counts those that are left out.
	MorePhoneNumbers int           `json:"more_phone_numbers,omitempty"`
	DeadLetters      DeadLetters   `json:"dead_letters"`
	Jobs             []Job         `json:"jobs"`
	Workers          []Worker      `json:"workers"`
	Events           []audit.Event `json:"events"` // of the last hour, the newest first
}

// Severity grades a Notice.
type Severity string

// The severities.
const (
	Stopped Severity = "stopped" // calls of some users have stopped
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Cause names the matter of a Notice.
type Cause string

// The causes.
const (
	CauseRedis       Cause = "redis_down"
	CauseRedisFull   Cause = "redis_full"
	CauseNoWorker    Cause = "no_worker"
	CauseHalted      Cause = "halted"
	CauseOutage      Cause = "outage"
	CausePaused      Cause = "paused"
	CauseFull        Cause = "list_full"
	CausePinned      Cause = "pinned"
	CauseRate        Cause = "rate_limit"
	CauseNearlyFull  Cause = "list_nearly_full"
	CauseReconcile   Cause = "reconcile"
	CauseDeadLetters Cause = "dead_letters"
)

// Notice is something that needs a person.
type Notice struct {
	Severity      Severity `json:"severity"`
	Cause         Cause    `json:"cause"`
	PhoneNumberID string   `json:"phone_number_id,omitempty"` // "" for all
	Text          string   `json:"text"`                      // what is the matter, in a sentence
	Next          string   `json:"next"`                      // what to do: a setting, a file, a command
}

// State names the state of the calls of a phone number ID.
type State string

// The states: those of a lane, and what lanes can't tell.
const (
	Running        = State(fleet.Running)
	Halted         = State(fleet.Halted)
	Outage         = State(fleet.Outage)
	Full           = State(fleet.Full)
	Idle     State = "idle" // nothing waits
	Paused   State = "paused"
	NoWorker State = "no_worker"
)

// PhoneNumber shows how a phone number ID stands.
type PhoneNumber struct {
	ID    string `json:"phone_number_id"`
	State State  `json:"state"`
	// Text says the state in words.
	Text      string    `json:"text"`
	Since     time.Time `json:"since,omitzero"`
	NextTrial time.Time `json:"next_trial,omitzero"`

	Waiting Waiting `json:"waiting"`
	// Oldest is the time of the request that waits in line longest.
	Oldest time.Time `json:"oldest,omitzero"`
	// ExpectedAt is the time at which what waits now will have gone out, zero when it can't be told.
	ExpectedAt time.Time      `json:"expected_at,omitzero"`
	LastMinute figures.Counts `json:"last_minute"`
	LastHour   figures.Counts `json:"last_hour"`
	// Minutes are the last 60, the current one last.
	Minutes []figures.Minute `json:"minutes"`

	Limit        Limit `json:"limit"`
	UsersPerCall int   `json:"users_per_call,omitempty"`
	// Users per call in the last hour, on average; 0 without calls.
	MeanUsersPerCall float64         `json:"mean_users_per_call,omitempty"`
	Blocklist        *Blocklist      `json:"blocklist,omitempty"` // nil before the first complete listing
	Reconciliation   *Reconciliation `json:"reconciliation,omitempty"`
	// Planned counts the users whose requests are put off to a later time.
	Planned int `json:"planned,omitempty"`
	Dead    int `json:"dead_letters"`
	// DeadCodes are the dead letters by code, for the metrics.
	DeadCodes []ledger.DeadCode `json:"-"`
}

// Waiting counts users that wait, by queue; Later are in flight or wait for their next attempt.
type Waiting struct {
	Interactive int `json:"interactive"`
	Bulk        int `json:"bulk"`
	Reconcile   int `json:"reconcile"`
	Later       int `json:"later"`
}

// InLine counts those that could go out now.
func (w Waiting) InLine() int { return w.Interactive + w.Bulk + w.Reconcile }

// Total counts all.
func (w Waiting) Total() int { return w.InLine() + w.Later }

// Limit shows the learnt rate limit of a phone number ID, in calls a second; 0 and absent mean not known or not set.
type Limit struct {
	Rate        float64   `json:"rate,omitempty"` // in force
	Learnt      float64   `json:"learnt,omitempty"`
	Anchor      float64   `json:"anchor,omitempty"` // what the API is believed to allow
	Ceiling     float64   `json:"ceiling,omitempty"`
	Pinned      float64   `json:"pinned,omitempty"`
	PinnedBy    string    `json:"pinned_by,omitempty"`
	PinnedAt    time.Time `json:"pinned_at,omitzero"`
	Capped      float64   `json:"capped,omitempty"`
	CappedBy    string    `json:"capped_by,omitempty"`
	CappedAt    time.Time `json:"capped_at,omitzero"`
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// Refused is the share of the last hour's calls that the API refused for their rate or size.
	Refused float64 `json:"refused"`
}

// Blocklist shows how full the blocklist was.
type Blocklist struct {
	Users    int       `json:"users"`
	Capacity int       `json:"capacity"`
	At       time.Time `json:"at"` // of the listing
}

// Reconciliation shows the last run.
type Reconciliation struct {
	At      time.Time `json:"at"`
	Good    bool      `json:"good"`
	Text    string    `json:"text"`
	Applied bool      `json:"applied"`
}

// DeadLetters counts the dead-lettered users.
type DeadLetters struct {
	Users int    `json:"users"`
	Codes []Code `json:"codes"`
	// NotCounted are dead as well, and in none of Codes.
	NotCounted int `json:"not_counted,omitempty"`
	// LastHour counts those that were dead-lettered in the last hour, redriven since or not.
	LastHour int `json:"last_hour"`
}

// Code counts the dead-lettered users of one code of the API.
type Code struct {
	Code   int       `json:"code"`
	Name   string    `json:"name"` // in plain words
	Help   string    `json:"help"`
	Users  int       `json:"users"`
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// Redrive is set when to ask again may help.
	Redrive bool `json:"redrive_may_help"`
}

// Job is a job as `wablock job` shows it.
type Job struct {
	tasks.JobStatus
	// Done is the share of its users that have ended, from 0 to 1.
	Done float64 `json:"done"`
}

// Worker shows a worker that runs.
type Worker struct {
	Where     string    `json:"where"` // process and machine
	Version   string    `json:"version,omitempty"`
	GraphHost string    `json:"graph_host"`
	Since     time.Time `json:"since,omitzero"`
	LastCall  time.Time `json:"last_call,omitzero"`
	// PhoneNumbers counts those that it calls for at the moment.
	PhoneNumbers int `json:"phone_numbers"`
}
