package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/wablock/wablock/config/schedule"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks/user"
)

// Input holds what Load reads settings from; of a setting that stands in several places, the flag
// counts, then the environment, then the file.
type Input struct {
	// Flags holds the values of the flags that were given, by [Setting.Flag].
	Flags map[string]string
	// LookupEnv is os.LookupEnv or a test's. nil is an empty environment.
	LookupEnv func(string) (string, bool)
	// File is the path of the YAML file, "" for none.
	File string
}

// Load reads and checks all settings. Its error joins one error per wrong setting; most are
// [*ValueError]s.
func Load(in Input) (*Config, error) {
	if in.LookupEnv == nil {
		in.LookupEnv = func(string) (string, bool) { return "", false }
	}
	f, errs := readFile(in.File)
	l := &loader{in: in, file: f, errs: errs, cfg: &Config{}, forced: map[string]bool{}}
	l.plain()
	l.cfg.AccessToken = l.credential(accessTokenVariable)
	l.cfg.AppSecret = l.credential(appSecretVariable)
	l.cfg.HTTPToken = l.credential(httpTokenVariable)
	l.cfg.WebhookToken = l.credential(webhookTokenVariable)
	l.phoneNumbers()
	l.together()
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	l.warn()
	return l.cfg, nil
}

// loader is Load at work.
type loader struct {
	in   Input
	file *yamlFile
	cfg  *Config
	errs []error
	// forced are the settings that a flag or the environment gives.
	forced map[string]bool
}

// level is one place that settings come from. All of them, in order, are the precedence.
type level struct {
	lookup func(Setting) (string, bool)
	origin func(Setting) string
}

// fileLevel is the place of the file among the levels.
const fileLevel = 2

func (l *loader) levels() []level {
	return []level{
		{
			func(s Setting) (string, bool) {
				if s.Flag == "" {
					return "", false
				}
				v, ok := l.in.Flags[s.Flag]
				return v, ok
			},
			func(s Setting) string { return "--" + s.Flag },
		},
		{l.env, func(Setting) string { return "the environment" }},
		{
			func(s Setting) (string, bool) { v, ok := l.file.values[s.Key()]; return v.text, ok },
			func(s Setting) string { return l.file.origin(l.file.values[s.Key()].line) },
		},
	}
}

// env takes a variable that is set to nothing for one that is not set, as compose files leave
// them, unless nothing is a value.
func (l *loader) env(s Setting) (string, bool) {
	v, ok := l.in.LookupEnv(s.Variable)
	v = strings.TrimSpace(v)
	return v, ok && (v != "" || s.empty)
}

// plain sets everything but secrets.
func (l *loader) plain() {
	for _, s := range Settings() {
		if s.set == nil {
			continue
		}
		value, origin, given := s.Default, "the default", false
		for i, level := range l.levels() {
			if v, ok := level.lookup(s); ok {
				value, origin, given = v, level.origin(s), true
				l.forced[s.Key()] = i < fileLevel
				break
			}
		}
		if !given && (s.auto || s.Default == "") {
			continue
		}
		if err := s.set(l.cfg, value); err != nil {
			l.errs = append(l.errs, wrong(s, origin, value, err))
		}
	}
}

// together holds the rules between settings.
func (l *loader) together() {
	c := l.cfg
	if c.HTTPAddr != "" && !loopback(c.HTTPAddr) && c.HTTPToken.IsZero() && c.HTTPTokensFile == "" {
		l.errs = append(l.errs, fmt.Errorf("config: WABLOCK_HTTP_ADDR is %q, which others can reach: set %s, %s or WABLOCK_HTTP_TOKENS_FILE, or use a loopback address such as 127.0.0.1:8080",
			shorten(c.HTTPAddr), httpTokenVariable, httpTokenVariable+fileSuffix))
	}
}

func (l *loader) warn() {
	c := l.cfg
	if u, err := url.Parse(c.GraphURL); err == nil && u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("WABLOCK_GRAPH_URL is %s, which sends the access token unencrypted: use https", c.GraphURL))
	}
	if !c.WebhookToken.IsZero() && c.AppSecret.IsZero() {
		c.Warnings = append(c.Warnings, webhookTokenVariable+" is set and no app secret to verify webhooks with, so they are turned off: set "+appSecretVariable+" or "+appSecretVariable+fileSuffix)
	}
	credentials := []Credential{c.AccessToken, c.AppSecret, c.HTTPToken, c.WebhookToken, {path: c.HTTPTokensFile}}
	for _, n := range c.PhoneNumbers {
		credentials = append(credentials, n.Token)
	}
	var seen []string
	for _, k := range credentials {
		if k.wide() && !slices.Contains(seen, k.path) {
			seen = append(seen, k.path)
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s holds a secret and others can read or change it: chmod 600 it", k.path))
		}
	}
	if l.file.hasSecret && openToOthers(l.file.path) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s holds a secret and others can read or change it: chmod 600 it, or use the …_file keys", l.file.path))
	}
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

func wrong(s Setting, origin, value string, reason error) error {
	e := &ValueError{Variable: s.Variable, Origin: origin, Allowed: s.Allowed, Reason: reason.Error()}
	switch {
	case s.Secret:
		e.Hidden = true
	case s.show != nil:
		e.Value = s.show(value)
	default:
		e.Value = value
	}
	e.Value = shorten(e.Value)
	return e
}

// credential finds a secret in the first place that gives it or its file; both in one place
// contradict each other.
func (l *loader) credential(variable string) Credential {
	inline, path := settingOf(variable), settingOf(variable+fileSuffix)
	for _, level := range l.levels() {
		text, hasText := level.lookup(inline)
		name, hasName := level.lookup(path)
		switch {
		case hasText && hasName:
			l.errs = append(l.errs, fmt.Errorf("config: %s and %s are both set (by %s): give one of them",
				inline.Variable, path.Variable, level.origin(path)))
			return Credential{variable: variable}
		case hasText:
			if err := checkSecret(text); err != nil {
				l.errs = append(l.errs, wrong(inline, level.origin(inline), text, err))
			}
			return Credential{value: secret.New(text), variable: variable}
		case hasName:
			if err := checkPath(name); err != nil {
				path.show = func(string) string { return hiddenText }
				l.errs = append(l.errs, wrong(path, level.origin(path), name, err))
			}
			return Credential{path: name, variable: variable}
		}
	}
	return Credential{variable: variable}
}

func settingOf(variable string) Setting {
	for _, s := range Settings() {
		if s.Variable == variable {
			return s
		}
	}
	return Setting{Variable: variable}
}
