package simulator

import "time"

// settings is a scenario made ready for use.
type settings struct {
	Scenario
	since     time.Time // when it was set; tokens expire from here
	directory directory
	listed    map[string]PhoneNumber
}

func newSettings(sc Scenario, now time.Time, changed *changes) *settings {
	set := &settings{Scenario: sc, since: now, directory: newDirectory(sc, changed), listed: map[string]PhoneNumber{}}
	for _, n := range sc.PhoneNumbers {
		set.listed[n.ID] = n
	}
	return set
}
