package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// planFile is a plan file in the making: a temporary file beside it, so that a path that can't be
// written to is refused before the listing, and the numbers in it are for their owner alone,
// whatever mode the file had.
type planFile struct {
	path string
	temp *os.File
}

func createPlanFile(path string) (*planFile, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, usagef("--plan-file: %s is not a regular file", path)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".wablock-plan-*") // of mode 0600
	if err != nil {
		return nil, &exitError{code: exitUsage, text: "--plan-file: " + path, err: withoutPath(err)}
	}
	return &planFile{path, temp}, nil
}

func (f *planFile) save(p planJSON) error {
	enc := json.NewEncoder(f.temp)
	enc.SetIndent("", " ")
	if err := errors.Join(enc.Encode(p), f.temp.Close()); err != nil {
		return fmt.Errorf("--plan-file: the plan could not be saved: %w", withoutPath(err))
	}
	if err := os.Rename(f.temp.Name(), f.path); err != nil {
		return fmt.Errorf("--plan-file: the plan could not be saved: %w", err)
	}
	return nil
}

// discard removes what save has not put in place.
func (f *planFile) discard() {
	_ = f.temp.Close()
	_ = os.Remove(f.temp.Name())
}

func withoutPath(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

// savedPlan is a plan to carry out later.
type savedPlan struct{ planJSON }

const maxPlanFile = 64 << 20

func loadPlan(path, phoneNumberID string) (*savedPlan, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxPlanFile {
		err = errors.New("it is too large to be a plan")
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path) //nolint:gosec // the user names the file
	}
	if err != nil {
		return nil, &exitError{code: exitUsage, text: "--plan-file", err: withoutPath(err)}
	}
	s := &savedPlan{}
	if json.Unmarshal(b, &s.planJSON) != nil || s.Hash == "" || !s.Mode.Valid() {
		return nil, usagef("--plan-file: not a plan: make one with wablock reconcile --plan-file F")
	}
	if s.PhoneNumberID != phoneNumberID {
		return nil, usagef("--plan-file: the plan is for phone number ID %s, not for %s", user.Scrub(s.PhoneNumberID), phoneNumberID)
	}
	return s, nil
}

// check refuses to carry out what is not, number for number, what was saved.
func (s *savedPlan) check(p *plan.Plan) error {
	switch block, unblock := revealed(p.ToBlock), revealed(p.ToUnblock); {
	case s.Applied:
		return fmt.Errorf("%w: it was applied when it was saved; make a new one", reconcile.ErrStale)
	case s.Mode != p.Mode:
		return fmt.Errorf("%w: it was made for mode %s; make a new one", reconcile.ErrStale, s.Mode)
	case !slices.Equal(s.ToBlock, block), !slices.Equal(s.ToUnblock, unblock), s.Hash != p.Hash:
		return fmt.Errorf("%w: it has %s and %s, and by now it would be %s and %s, perhaps of others; look at a new one",
			reconcile.ErrStale, amounts.Count(len(s.ToBlock), "block"), amounts.Count(len(s.ToUnblock), "unblock"), amounts.Count(len(block), "block"), amounts.Count(len(unblock), "unblock"))
	}
	return nil
}
