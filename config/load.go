package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/wablock/wablock/config/secret"
)

// The variables of secrets; with _FILE at the end they name the secret's file.
const (
	accessTokenVariable = "WABLOCK_ACCESS_TOKEN"
	appSecretVariable   = "WABLOCK_APP_SECRET" //nolint:gosec // a name
	httpTokenVariable   = "WABLOCK_HTTP_TOKEN" //nolint:gosec // a name
)

// loader is Load at work.
type loader struct {
	in   Input
	file *file
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

// checkSecret refuses what no HTTP header could carry.
func checkSecret(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errNotAllowed
	}
	return nil
}

func checkPath(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	if looksLikeSecret(s) {
		return errors.New("it looks like a secret, not like the path of a file; if it is a path, write ./ in front")
	}
	return nil
}
