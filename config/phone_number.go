package config

import (
	"errors"
	"net/url"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// PhoneNumber is one business phone number: an entry of the file's phone_numbers, with what it
// leaves out taken from the settings for all.
type PhoneNumber struct {
	ID    string
	Token Credential
	// Display is the number that people see; zero when not given.
	Display         user.ID
	Rate            float64
	Burst           int
	MaxUsersPerCall int
	// Reconcile is nil when nothing is configured for it.
	Reconcile *Reconcile
}

// Mode limits the changes of a reconciliation.
type Mode string

// The modes.
const (
	Report  Mode = "report"
	Adopt   Mode = "adopt"
	Enforce Mode = "enforce"
	Own     Mode = "own"
)

// SourceLedger is the Source of a [Reconcile] that takes what the ledger wants for desired.
const SourceLedger = "ledger"

// DefaultMaxChanges bounds the unblocks of one reconciliation.
const DefaultMaxChanges = 500

// Reconcile is the configured reconciliation of one phone number.
type Reconcile struct {
	Schedule   string // a cron expression of five fields, or @every…; "" for none
	Source     string // a path, an HTTPS URL, or SourceLedger
	Mode       Mode
	MaxChanges int
	// Column is the column of the source that holds the numbers, by header or place from 1; "" for
	// the most telling one.
	Column string
}

func checkSource(s string) error {
	if !strings.Contains(s, "://") {
		return checkPath(s)
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" {
		return errors.New("a URL must be https")
	}
	return nil
}

// showSource hides user, path and query of a URL: any of them can hold a key.
func showSource(s string) string {
	scheme, _, ok := strings.Cut(s, "://")
	if !ok || !plainForm.MatchString(scheme) {
		return hideUnlessPlain(s)
	}
	return scheme + "://…"
}
