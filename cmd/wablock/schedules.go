package main

import (
	"fmt"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/worker/reconcile"
)

// newSchedules wires the reconciliations of the configured phone numbers. Those without a
// schedule only have their ledger kept.
func newSchedules(cfg *config.Config, n *numbers, rc reconcile.Config) (*reconcile.Scheduler, error) {
	runner, err := reconcile.New(rc)
	if err != nil {
		return nil, err
	}
	var all []reconcile.Scheduled
	for _, p := range cfg.PhoneNumbers {
		served, ok := n.byID[p.ID]
		if !ok {
			continue
		}
		api, ok := served.API.(reconcile.Lister)
		if !ok {
			return nil, fmt.Errorf("phone number ID %s: its API client can't list", p.ID)
		}
		s := reconcile.Scheduled{Target: reconcile.Target{
			PhoneNumberID: p.ID, API: api, Account: served.Account, Source: reconcile.FromLedger(), Mode: reconcile.Report,
		}}
		if c := p.Reconcile; c != nil {
			s.Schedule, s.Mode, s.MaxChanges = c.Schedule, reconcile.Mode(c.Mode), c.MaxChanges
			if s.Source, err = reconcile.ParseSource(c.Source); err != nil {
				return nil, &exitError{code: exitUsage, err: fmt.Errorf("phone number ID %s: %w", p.ID, err)}
			}
		}
		all = append(all, s)
	}
	return reconcile.NewScheduler(runner, all)
}
