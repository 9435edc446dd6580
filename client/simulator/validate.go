package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/goccy/go-yaml"
)

// validate returns all faults of a scenario whose defaults are filled in.
func validate(sc Scenario) error {
	var p problems
	p.atLeast("max_phone_numbers", sc.MaxPhoneNumbers, max(1, len(sc.PhoneNumbers)))
	p.atLeast("blocking.capacity", sc.Blocking.Capacity, 1)
	p.atLeast("blocking.max_users", sc.Blocking.MaxUsers, 1)
	p.atLeast("listing.default_limit", sc.Listing.DefaultLimit, 1)
	p.atLeast("listing.max_limit", sc.Listing.MaxLimit, sc.Listing.DefaultLimit)
	p.atLeast("journal.calls", sc.Journal.Calls, 1)
	p.atLeast("journal.users", sc.Journal.Users, 1)
	p.status("answers.mixed_status", sc.Answers.MixedStatus)
	p.status("listing.changed_status", sc.Listing.ChangedStatus)
	p.oneOf("window.scope", sc.Window.Scope, scopePhoneNumber, scopeAccount)
	p.oneOf("blocking.full_list", sc.Blocking.FullList, perUser, perCall)
	p.oneOf("blocking.bad_users", sc.Blocking.BadUsers, perUser, perCall)
	p.share("window.silent_share", sc.Window.SilentShare)
	if sc.APIVersion != "" && !versionPattern.MatchString(sc.APIVersion) {
		p.add("api_version: must look like v25.0")
	}
	p.phoneNumbers(sc.PhoneNumbers)
	p.users(sc.Users)
	for i, t := range sc.Tokens {
		if t.Token == "" {
			p.add("tokens[%d]: the token is empty", i)
		}
	}
	for i, l := range sc.Limits {
		p.limit(fmt.Sprintf("limits[%d]", i), l)
	}
	for i, f := range sc.Faults {
		p.fault(fmt.Sprintf("faults[%d]", i), f)
	}
	return errors.Join(p...)
}

// problems gathers what is wrong with a scenario. It names places, never numbers or tokens.
type problems []error

func (p *problems) add(format string, args ...any) {
	*p = append(*p, fmt.Errorf("simulator: scenario: "+format, args...))
}

func (p *problems) atLeast(name string, v, least int) {
	if v < least {
		p.add("%s: %d is less than %d", name, v, least)
	}
}

func (p *problems) status(name string, v int) {
	if v < 200 || v > 599 {
		p.add("%s: %d is not a final HTTP status", name, v)
	}
}

func (p *problems) share(name string, v float64) {
	if !(v >= 0 && v <= 1) {
		p.add("%s: %v is not between 0 and 1", name, v)
	}
}

func (p *problems) oneOf(name, v string, allowed ...string) {
	if !slices.Contains(allowed, v) {
		p.add("%s: %q is not one of %q", name, v, allowed)
	}
}

func (p *problems) phoneNumbers(ns []PhoneNumber) {
	seen := map[string]bool{}
	for i, n := range ns {
		switch {
		case !idPattern.MatchString(n.ID):
			p.add("phone_numbers[%d].id: must be digits", i)
		case seen[n.ID]:
			p.add("phone_numbers[%d].id: is listed twice", i)
		}
		seen[n.ID] = true
		if name, ok := canonical(n.Own); n.Own != "" && (!ok || name[0] != '+') {
			p.add("phone_numbers[%d].own: not a phone number", i)
		}
		for j, b := range n.Blocked {
			if _, ok := canonical(b); !ok {
				p.add("phone_numbers[%d].blocked[%d]: neither a phone number nor a user ID", i, j)
			}
		}
	}
}

func (p *problems) users(us []User) {
	for i, u := range us {
		at := fmt.Sprintf("users[%d]", i)
		if u.User == "" && u.UserID == "" {
			p.add("%s: has neither user nor user_id", at)
		}
		if name, ok := canonical(u.User); u.User != "" && (!ok || name[0] != '+') {
			p.add("%s.user: not a phone number", at)
		}
		if u.UserID != "" && !isUserID(u.UserID) {
			p.add("%s.user_id: not a business-scoped user ID", at)
		}
		if u.Username != "" && u.UserID == "" {
			p.add("%s.username: a user with a username has a user_id", at)
		}
		if !allDigits(u.WaID) {
			p.add("%s.wa_id: must be digits", at)
		}
		if u.Silent && u.Wrote != nil {
			p.add("%s: is silent and yet wrote", at)
		}
	}
}

func (p *problems) limit(at string, l Limit) {
	p.oneOf(at+".scope", l.Scope, scopePhoneNumber, scopeAccount, scopeApp)
	p.status(at+".status", l.Status)
	if !(l.Rate >= 0) {
		p.add("%s.rate: %v is negative", at, l.Rate)
	}
	p.atLeast(at+".burst", l.Burst, 1)
	p.atLeast(at+".calls", l.Calls, 0)
	p.atLeast(at+".users", l.Users, 0)
	p.atLeast(at+".users_per_call", l.UsersPerCall, 0)
	if l.Rate == 0 && l.Calls == 0 && l.Users == 0 && l.UsersPerCall == 0 {
		p.add("%s: limits nothing: set rate, calls, users or users_per_call", at)
	}
}

func (p *problems) fault(at string, f Fault) {
	if !slices.Contains(Effects(), f.Effect) {
		p.add("%s.effect: %q is not one of %q", at, f.Effect, Effects())
	}
	for _, op := range f.Operations {
		p.oneOf(at+".operations", string(op), string(Block), string(Unblock), string(List))
		if op == List && f.onUsers() || op != List && (f.WithCursor || slices.Contains(listEffects, f.Effect)) {
			p.add("%s: %s never happens to the operation %s", at, f.Effect, op)
		}
	}
	for i, u := range f.Users {
		if _, ok := canonical(u); !ok {
			p.add("%s.users[%d]: neither a phone number nor a user ID", at, i)
		}
	}
	p.atLeast(at+".skip", f.Skip, 0)
	p.atLeast(at+".every", f.Every, 1)
	p.atLeast(at+".times", f.Times, 0)
	p.share(at+".probability", f.Probability)
	p.atLeast(at+".code", f.Code, CodeZero)
	if f.Status != 0 {
		p.status(at+".status", f.Status)
	}
	if f.Effect == EffectDelay && f.Delay == 0 {
		p.add("%s.delay: a delay effect needs one", at)
	}
}

// maxScenario bounds a scenario file: room for a full list of 64,000 users and more.
const maxScenario = 8 << 20

// LoadScenario reads a scenario from a YAML or JSON file. Unknown and repeated fields are
// refused, and so is a scenario that contradicts itself.
func LoadScenario(path string) (Scenario, error) {
	f, err := os.Open(path) //nolint:gosec // the caller names the file
	if err != nil {
		return Scenario{}, fmt.Errorf("simulator: open scenario: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxScenario+1))
	if err != nil {
		return Scenario{}, fmt.Errorf("simulator: read scenario: %w", err)
	}
	sc, err := ParseScenario(text)
	if err != nil {
		return Scenario{}, fmt.Errorf("%w (in %s)", err, path)
	}
	return sc, nil
}

// decodeYAML reads YAML; the library falls over tags where a list should stand.
func decodeYAML(text []byte, sc *Scenario) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("not valid YAML")
		}
	}()
	return yaml.UnmarshalWithOptions(text, sc, yaml.Strict())
}

// ParseScenario reads a scenario from YAML or JSON; an empty text is the zero Scenario.
func ParseScenario(text []byte) (Scenario, error) {
	if len(text) > maxScenario {
		return Scenario{}, fmt.Errorf("simulator: the scenario is larger than %d MiB", maxScenario>>20)
	}
	var sc Scenario
	text = bytes.TrimSpace(text)
	var err error
	switch {
	case len(text) == 0:
	case text[0] == '{': // YAML would read JSON too, but not its tabs
		err = decodeStrictly(text, &sc)
	default:
		err = decodeYAML(text, &sc)
	}
	if err != nil {
		return Scenario{}, fmt.Errorf("simulator: read scenario: %w", err)
	}
	return sc, validate(sc.withDefaults())
}
