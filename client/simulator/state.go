package simulator

import (
	"math/rand/v2"
	"time"
)

// settings is a scenario made ready for use.
type settings struct {
	Scenario
	since     time.Time // when it was set; tokens expire from here
	directory directory
	listed    map[string]PhoneNumber
}

func newSettings(sc Scenario, now time.Time) *settings {
	set := &settings{Scenario: sc, since: now, directory: newDirectory(sc), listed: map[string]PhoneNumber{}}
	for _, n := range sc.PhoneNumbers {
		set.listed[n.ID] = n
	}
	return set
}

// number is the state of one business phone number.
type number struct {
	id, account string
	own         string // canonical; empty if unknown
	list        blocklist
	tries       map[try]int
	rng         *rand.Rand // one for each, so that phone number IDs do not disturb each other's chances
}

// try counts calls with those test numbers that change their mind.
type try struct {
	op    Operation
	trick trick
}
