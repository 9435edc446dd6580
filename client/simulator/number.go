package simulator

import "math/rand/v2"

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
