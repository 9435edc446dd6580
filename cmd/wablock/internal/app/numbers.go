package app

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/secret"
	numberfile "github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/listing"
	"github.com/wablock/wablock/worker/reconcile/plan"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// numbers holds how each phone number ID is served.
type numbers struct {
	byID map[string]worker.PhoneNumber
	// others is for phone number IDs that are not configured, where there is a token for all.
	others    *worker.PhoneNumber
	schedules []reconcile.Scheduled
}

var errNoToken = errors.New("there is no access token: set WABLOCK_ACCESS_TOKEN or WABLOCK_ACCESS_TOKEN_FILE, or list phone_numbers with their tokens in the --config file")

// newNumbers reads all tokens. Phone number IDs with the same token share one client.
func newNumbers(cfg *config.Config, log *slog.Logger) (*numbers, error) {
	tokens, err := cfg.Tokens()
	if err != nil {
		return nil, &ConfigError{err}
	}
	appSecret, err := cfg.AppSecretSource()
	if err != nil {
		return nil, &ConfigError{err}
	}
	clients := map[*secret.Source]*client.Client{}
	clientOf := func(token *secret.Source) (c *client.Client, err error) {
		if clients[token] == nil {
			clients[token], err = newClient(cfg, token, appSecret, client.WithLogger(log))
		}
		return clients[token], err
	}
	n := &numbers{byID: map[string]worker.PhoneNumber{}}
	for _, p := range cfg.PhoneNumbers {
		c, err := clientOf(tokens[p.ID])
		if err != nil {
			return nil, err
		}
		n.byID[p.ID] = worker.PhoneNumber{ID: p.ID, API: c, Token: tokens[p.ID], Account: p.Token.Account(), Listed: true, Advice: adviceFor(p.Token)}
		s, err := scheduled(p, cfg.DefaultCountry, c)
		if err != nil {
			return nil, err
		}
		n.schedules = append(n.schedules, s)
	}
	if cfg.AccessToken.IsZero() {
		if len(n.byID) == 0 {
			return nil, &ConfigError{errNoToken}
		}
		return n, nil
	}
	token, err := cfg.AccessToken.Source()
	if err != nil {
		return nil, &ConfigError{err}
	}
	c, err := clientOf(token)
	if err != nil {
		return nil, err
	}
	n.others = &worker.PhoneNumber{API: c, Token: token, Account: cfg.AccessToken.Account(), Advice: adviceFor(cfg.AccessToken)}
	return n, nil
}

// adviceFor tells a lane where the token of its phone number is renewed.
func adviceFor(token config.Credential) func(err error, help string) string {
	return func(err error, help string) string { return advise(err, help, token) }
}

// scheduled returns the reconciliation of a phone number. One without a schedule only has its
// ledger kept.
func scheduled(p config.PhoneNumber, country user.Country, api listing.API) (reconcile.Scheduled, error) {
	s := reconcile.Scheduled{Target: reconcile.Target{
		PhoneNumberID: p.ID, API: api, Account: p.Token.Account(), Source: source.Ledger(), Mode: plan.Report,
	}}
	c := p.Reconcile
	if c == nil {
		return s, nil
	}
	s.Schedule, s.Mode, s.MaxChanges = c.Schedule, plan.Mode(c.Mode), c.MaxChanges
	var err error
	if s.Source, err = source.Parse(c.Source, numberfile.Options{Column: c.Column, Country: country}); err != nil {
		return s, &ConfigError{fmt.Errorf("phone number ID %s: %w", p.ID, err)}
	}
	return s, nil
}

// resolve returns how a phone number ID is served, and false when there is no token for it.
func (n *numbers) resolve(id string) (worker.PhoneNumber, bool) {
	if p, ok := n.byID[id]; ok {
		return p, true
	}
	if n.others == nil {
		return worker.PhoneNumber{}, false
	}
	p := *n.others
	p.ID = id
	return p, true
}
