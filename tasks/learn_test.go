package tasks_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
)

const (
	number, next = "+16505550100", "+16505550199"
	bsuid, after = "US.13491208655302741918", "US.700000000000000002"
)

func learn(f *fixture, told ...tasks.Told) int {
	f.Helper()
	return must(f.Producer.Learn(f.Context(), phoneNumberID, told...))(f)
}

func block(f *fixture, input string, opts ...tasks.Option) tasks.Job {
	f.Helper()
	return must(f.Producer.Block(f.Context(), []string{input}, opts...))(f)
}

func entryOf(f *fixture, name string) ledger.Entry {
	f.Helper()
	return must(f.Ledger.Entries(f.Context(), []user.ID{must(user.FromCanonical(name))(f)}))(f)[0]
}

// TestLearn asks under a name that was learnt before, and reads under the other.
func TestLearn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		learn(f, tasks.Told{WaID: number[1:], UserID: bsuid})
		job := block(f, bsuid)
		for _, name := range []string{number, bsuid} {
			if e := entryOf(f, name); e.Version != job.Version || e.State != ledger.Waiting {
				t.Errorf("%s: %+v", name[:3], e)
			}
		}
		known := must(f.Ledger.NamesOf(t.Context(), []user.ID{entryOf(f, bsuid).User}))(t)[0]
		if len(known) != 2 || known[0].Reveal() != number || known[1].Reveal() != bsuid {
			t.Errorf("names: %v", known)
		}
		// What is told of two persons at once, and what names none, changes nothing.
		learn(f, tasks.Told{WaID: number[1:], UserID: after}, tasks.Told{WaID: next[1:], UserID: after})
		learn(f, tasks.Told{WaID: "me", UserID: after}, tasks.Told{WaID: number[1:], UserID: "US.ENT.9001"}, tasks.Told{}, tasks.Told{WaID: number[1:], UserID: number})
		if e := entryOf(f, after); e.State != ledger.Unknown {
			t.Errorf("an ambiguous name: %+v", e)
		}
		var all []tasks.Told
		for n := range 5 {
			all = append(all, tasks.Told{WaID: number[1:], UserID: fmt.Sprintf("US.910%d", n)})
		}
		learn(f, all...)
		if e := entryOf(f, "US.9103"); e.State != ledger.Unknown {
			t.Errorf("one WhatsApp ID of five: %+v", e)
		}
		learn(f, all[:4]...)
		if e := entryOf(f, "US.9103"); e.State != ledger.Waiting {
			t.Errorf("one WhatsApp ID of four: %+v", e)
		}
	})
}

// TestChangeOfNumber asks for a wanted block under the new number too, once, with its end; and keeps the old one.
func TestChangeOfNumber(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		until := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
		job := block(f, number, tasks.WithExpiry(until), tasks.WithReason("spam"), tasks.WithStanding())
		changed := tasks.Told{WaID: next[1:], UserID: after, PreviousWaID: number[1:], PreviousUserID: bsuid, At: time.Now().Add(time.Second)}
		if n := learn(f, tasks.Told{WaID: number[1:], UserID: bsuid}, changed); n != 1 {
			t.Fatalf("%d blocks asked for", n)
		}
		for range 2 {
			if n := learn(f, changed, changed); n != 0 {
				t.Errorf("%d more blocks asked for", n)
			}
		}
		s := must(f.Producer.Status(t.Context(), after))(t)
		if s.Operation != ledger.Block || s.State != ledger.Waiting || s.Version <= job.Version || !s.Until.Equal(until) || s.Reason != "spam" || !s.Standing || s.By != tasks.NumberChanged {
			t.Errorf("under the new name: %+v", s)
		}
		if e := entryOf(f, bsuid); e.Version != job.Version || e.State != ledger.Waiting {
			t.Errorf("under the old one: %+v", e)
		}
		// An unblock of the new number stays, whatever is told again; and a newer block of the old number is of another person.
		_ = must(f.Producer.Unblock(t.Context(), []string{next}))(t)
		block(f, number)
		changed.At = changed.At.Add(-time.Minute)
		if n := learn(f, changed); n != 0 || entryOf(f, next).Operation != ledger.Unblock {
			t.Errorf("%d blocks asked for; %+v", n, entryOf(f, next))
		}
	})
}

// TestChangeOfNumberWhileTheClockIsAhead: a version of an hour to come does not tell that the block is newer than the change.
func TestChangeOfNumberWhileTheClockIsAhead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ahead := time.Now().Add(time.Hour)
		if err := f.Redis.Set(t.Context(), "wablock:{"+phoneNumberID+"}:version", ahead.UnixMicro(), 0).Err(); err != nil {
			t.Fatal(err)
		}
		if job := block(f, number); job.Version.Time().Before(ahead) {
			t.Fatalf("the version is of %v", job.Version.Time())
		}
		if n := learn(f, tasks.Told{WaID: next[1:], PreviousWaID: number[1:], At: time.Now().Add(time.Second)}); n != 1 || entryOf(f, next).State != ledger.Waiting {
			t.Errorf("%d blocks asked for; %+v", n, entryOf(f, next))
		}
	})
}

// TestChangeOfUserID has a person without a known number.
func TestChangeOfUserID(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		block(f, bsuid)
		changed := tasks.Told{UserID: after, PreviousUserID: bsuid, At: time.Now().Add(time.Second)}
		if err := protect.Add(t.Context(), f.Redis, phoneNumberID, []user.ID{entryOf(f, after).User}, "", ""); err != nil {
			t.Fatal(err)
		}
		if n := learn(f, changed); n != 0 {
			t.Errorf("%d blocks of a protected user asked for", n)
		}
		_ = must(protect.Remove(t.Context(), f.Redis, phoneNumberID, []user.ID{entryOf(f, after).User}))(t)
		if n := learn(f, changed); n != 1 || entryOf(f, after).State != ledger.Waiting {
			t.Errorf("%d blocks asked for; %+v", n, entryOf(f, after))
		}
	})
}

// TestMovedName learns from a listing that a BSUID is another number's by now.
func TestMovedName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		learn(f, tasks.Told{WaID: number[1:], UserID: bsuid})
		block(f, bsuid)
		if n := learn(f, tasks.Told{WaID: next[1:], UserID: bsuid}); n != 1 || entryOf(f, bsuid).Operation != ledger.Block || entryOf(f, next).Version != entryOf(f, bsuid).Version {
			t.Errorf("%d blocks asked for; %+v", n, entryOf(f, bsuid))
		}
		if e := entryOf(f, number); e.Operation != ledger.Block {
			t.Errorf("the old number: %+v", e)
		}
	})
}

// TestHeardTeachesNames revives a block by a message that names its user by BSUID alone, once another message has
// told whose that is.
func TestHeardTeachesNames(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		job := block(f, bsuid)
		at := time.Now()
		_ = must(f.Producer.Heard(t.Context(), tasks.HeardEvent{WaID: number[1:], UserID: bsuid, At: at}, tasks.HeardEvent{WaID: next[1:], User: number, At: at}))(t)
		if e := entryOf(f, number); e.Version != job.Version {
			t.Errorf("under the number: %+v", e)
		}
		if e := entryOf(f, next); e.State != ledger.Unknown {
			t.Errorf("two numbers that are not spellings of one: %+v", e)
		}
		c := must(f.Ledger.Claim(t.Context(), ledger.ClaimOptions{ID: "c", Max: 1, Timeout: time.Minute}))(t)
		s := ledger.Settlement{User: c.Users[0].User, Version: c.Users[0].Version, Do: ledger.Kill, Failure: &ledger.Failure{Code: tasks.CodeWindow}}
		_ = must(f.Ledger.Settle(t.Context(), c.ID, []ledger.Settlement{s}))(t)
		if r := must(f.Producer.Heard(t.Context(), tasks.HeardEvent{UserID: bsuid, At: time.Now().Add(time.Second)}))(t); r.Revived != 1 {
			t.Errorf("%+v", r)
		}
		if e := entryOf(f, number); e.State != ledger.Waiting || e.Version <= job.Version {
			t.Errorf("%+v", e)
		}
	})
}
