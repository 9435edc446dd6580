package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/wablock/wablock/config/schedule"
	"github.com/wablock/wablock/config/secret"
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

// phoneNumbers reads the list, and adds the phone number ID that was named outside of it.
func (l *loader) phoneNumbers() {
	c := l.cfg
	for i, item := range l.file.phoneNumbers {
		n := l.phoneNumber(fmt.Sprintf("phone_numbers[%d]", i), item)
		if n.ID != "" && slices.ContainsFunc(c.PhoneNumbers, func(m PhoneNumber) bool { return m.ID == n.ID }) {
			l.errs = append(l.errs, fmt.Errorf("config: phone_numbers has the ID %s twice (%s): leave one out", n.ID, l.file.origin(item.ID.line)))
			continue
		}
		c.PhoneNumbers = append(c.PhoneNumbers, n)
	}
	known := func(n PhoneNumber) bool { return n.ID == c.PhoneNumberID }
	if c.PhoneNumberID != "" && !slices.ContainsFunc(c.PhoneNumbers, known) {
		n := l.defaults()
		n.ID = c.PhoneNumberID
		c.PhoneNumbers = append(c.PhoneNumbers, n)
	}
}

func (l *loader) defaults() PhoneNumber {
	c := l.cfg
	return PhoneNumber{Token: c.AccessToken, Rate: c.Rate, Burst: c.Burst, MaxUsersPerCall: c.MaxUsersPerCall}
}

func (l *loader) phoneNumber(at string, item item) PhoneNumber {
	n := l.defaults()
	if item.ID.text == "" {
		l.errs = append(l.errs, fmt.Errorf("config: %s in %s has no id: give the Graph ID of the phone number", at, l.file.path))
	}
	l.take(at+".id", item.ID, settingOf("WABLOCK_PHONE_NUMBER_ID").Allowed, showPhoneNumberID, func(s string) error {
		if !phoneNumberIDForm.MatchString(s) {
			return errNotAllowed
		}
		n.ID = s
		return nil
	})
	l.take(at+".display_phone_number", item.Display, "an international phone number: + and 7 to 15 digits", hide, func(s string) (err error) {
		n.Display, err = user.Parse(s)
		return err
	})
	l.take(at+".rate", item.Rate, settingOf("WABLOCK_RATE").Allowed, nil, func(s string) error {
		own, err := rate(s)
		n.Rate = lower(own, n.Rate, l.forced["rate"])
		return err
	})
	l.take(at+".burst", item.Burst, settingOf("WABLOCK_BURST").Allowed, nil, func(s string) error {
		own, err := whole(s, 1, maxBurst)
		n.Burst = lower(own, n.Burst, l.forced["burst"])
		return err
	})
	l.take(at+".max_users_per_call", item.MaxUsersPerCall, settingOf("WABLOCK_MAX_USERS_PER_CALL").Allowed, nil, func(s string) error {
		own, err := whole(s, 1, maxUsersPerCall)
		n.MaxUsersPerCall = lower(own, n.MaxUsersPerCall, l.forced["max_users_per_call"])
		return err
	})
	l.token(at, item, &n)
	if item.Reconcile != nil {
		n.Reconcile = l.reconcile(at+".reconcile", *item.Reconcile)
	}
	return n
}

// lower returns what counts of a phone number's own limit and the one for all: the lower, where a
// flag or the environment gives the latter, as people do who want less.
func lower[N int | float64](own, all N, forced bool) N {
	if forced {
		return min(own, all)
	}
	return own
}

func hide(string) string { return hiddenText }

// take hands a value that was given to set, and turns its error into a ValueError.
func (l *loader) take(name string, v value, allowed string, show func(string) string, set func(string) error) {
	if v.line == 0 {
		return
	}
	if err := set(v.text); err != nil {
		s := Setting{Variable: name, Allowed: allowed, show: show}
		l.errs = append(l.errs, wrong(s, l.file.origin(v.line), v.text, err))
	}
}

// variableForm is strict, so that a token in the place of a variable's name is told from one.
var variableForm = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)

// token reads where the phone number's own token is.
func (l *loader) token(at string, item item, n *PhoneNumber) {
	if item.AccessTokenFile.line > 0 && item.AccessTokenEnv.line > 0 {
		l.errs = append(l.errs, fmt.Errorf("config: %s (%s) has both access_token_file and access_token_env: give one of them", at, l.file.origin(item.AccessTokenEnv.line)))
		return
	}
	l.take(at+".access_token_file", item.AccessTokenFile, "the path of a file", hide, func(s string) error {
		n.Token = Credential{path: s, variable: accessTokenVariable}
		return checkPath(s)
	})
	l.take(at+".access_token_env", item.AccessTokenEnv, "the name of an environment variable, in capitals, such as WABLOCK_ACCESS_TOKEN_2", hide, func(s string) error {
		if !variableForm.MatchString(s) {
			return errors.New("not the name of a variable; the token itself must not stand here")
		}
		text, _ := l.in.LookupEnv(s)
		if text = strings.TrimSpace(text); text != "" && checkSecret(text) != nil {
			return errors.New("the variable holds no token: a token is printable and has no spaces")
		}
		n.Token = Credential{value: secret.New(text), variable: s}
		return nil
	})
}

func (l *loader) reconcile(at string, item reconcileItem) *Reconcile {
	r := &Reconcile{Source: SourceLedger, Mode: Report, MaxChanges: DefaultMaxChanges}
	l.take(at+".schedule", item.Schedule, "a cron expression such as \"0 3 * * *\" or \"CRON_TZ=Europe/Berlin 0 3 * * *\", or @every with a duration from 1s", nil, func(s string) error {
		r.Schedule = s
		_, err := schedule.Parse(s)
		return err
	})
	l.take(at+".source", item.Source, "the path of a file, an https URL, or ledger", showSource, func(s string) error {
		r.Source = s
		return checkSource(s)
	})
	l.take(at+".mode", item.Mode, "report, adopt, own or enforce", nil, func(s string) error {
		r.Mode = Mode(s)
		if r.Mode != Report && r.Mode != Adopt && r.Mode != Enforce && r.Mode != Own {
			return errNotAllowed
		}
		return nil
	})
	l.take(at+".column", item.Column, "the header of a column, or its place from 1", hide, func(s string) error {
		r.Column = s
		return nil
	})
	l.take(at+".max_changes", item.MaxChanges, "a whole number from 0 to 64000", nil, func(s string) (err error) {
		r.MaxChanges, err = whole(s, 0, 64_000)
		return err
	})
	return r
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
