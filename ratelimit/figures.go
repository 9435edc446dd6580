package ratelimit

import "time"

// The law's figures, in the order in which a new limit meets them. Rates are in calls a second; a step is a moment at
// which growth is considered. They were tuned on the benchmark in learnbench: change one, and run it again.
const (
	// START. Nothing is known: one call goes alone, then two a second, or as many as follow each other without a pause.
	startRate  = 2.0
	startCalls = 1.0

	// STEPS are taken when enough was sent to judge by, every half second and every round trip at most; in the search as
	// often as a call has come back; for a limit that may not exist, such as an account's that was never met, seldom.
	stepTime  = 500 * time.Millisecond
	stepCalls = 2.0
	unmetTime = 10 * time.Second
	// Growth needs a budget that is really used, to this share: an unused rate proves nothing.
	usedShare = 0.75
	// The round trip is smoothed by this share of each measurement.
	roundTripShare = 0.2

	// SEARCH. While the API has never refused, the rate grows by this factor a step. A larger one, such as the 2 of TCP's slow
	// start, has more calls in flight when the limit is met, and in a lock-out each of these is dear.
	searchGrowth = 1.25
	searchTime   = 50 * time.Millisecond
	searchCalls  = 2.0

	// CUT. The truth lies between what was served since the last refusal and what was going out at this one; the anchor,
	// the rate believed in, is put this share of the way (in logarithms) from the first to the second, and the
	// rate a little below the anchor. What was served counts a part of a call more: one was about to be.
	anchorShare = 0.35
	cutShare    = 0.97
	partCall    = 0.4
	// A rate that held until it was pushed was not far too high: this share of it is a floor for the new anchor.
	heldShare = 0.94
	// What is refused in a burst after a lull has no measure: the truth is taken to be this share of the rate at least.
	lullShare = 0.5
	// An anchor that moved by less than this share is settled; one below this share of a rate that was refused no more often
	// than it should be shows that the limit fell.
	settledShare = 0.25
	fallShare    = 0.7

	// REGROWTH. Below this share of the anchor the rate recovers by this factor a step.
	fastShare  = 0.9
	fastGrowth = 1.5
	// No step grows by more than pushBound, and a rate forgetAnchor times the anchor shows that the anchor is history:
	// search again.
	pushBound    = 1.3
	forgetAnchor = 3.0

	// STATED PAUSES are believed up to a day.
	maxStated = 24 * time.Hour

	// IDLE DECAY. A rate that is not used halves its distance to half the anchor in this time: the limit may have changed.
	idleHalf  = 10 * time.Minute
	idleShare = 0.5

	// USAGE HEADERS lead where they are present: from usageSlow percent the rate falls, to usageFloor of itself at usageStop,
	// and from there all calls wait as long as the API says. They are forgotten after usageMemory.
	usageSlow   = 75
	usageStop   = 95
	usageFloor  = 0.1
	usageMemory = time.Minute
)
