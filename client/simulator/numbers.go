package simulator

import "time"

// trick is the behaviour of a number with a meaning.
type trick uint8

const (
	trickNone trick = iota
	trickSilent
	trickInvalid
	trickOwn
	trickFull
	trickInternal
	trickInternalTwice
	trickOtherWaID
	trickOmit
	trickSinks100
	trickSinks131009
	trickRateOnce
	trickSlow
)

// TestNumber is a number that always behaves in one way, as test credit cards do.
type TestNumber struct {
	Number  string // E.164
	Meaning string
	trick   trick
}

// otherWaID is the wa_id of the number that has a wa_id unlike itself, and slowBy what the slow
// one adds to a call.
const (
	otherWaID = "15550999521"
	slowBy    = 3 * time.Second
)

// TestNumbers returns the numbers with a meaning. They lie in the US area code 555, which
// is not assigned; most of them end in the error code that they give.
func TestNumbers() []TestNumber {
	return []TestNumber{
		{"+15550131047", "never wrote: blocking fails with 131047", trickSilent},
		{"+15550000404", "not on WhatsApp: fails with 131047 and no `wa_id`", trickInvalid},
		{"+15550131021", "the business's own number: fails with 131021", trickOwn},
		{"+15550139101", "blocking fails with 139101, as on a full list", trickFull},
		{"+15550139103", "always fails with 139103", trickInternal},
		{"+15550000002", "fails with 139103 twice for each operation and phone number ID, then succeeds", trickInternalTwice},
		{"+15550000521", "succeeds; its `wa_id` is " + otherWaID, trickOtherWaID},
		{"+15550000000", "is in neither list of the answer; nothing is changed", trickOmit},
		{"+15550000100", "fails the whole call with 100", trickSinks100},
		{"+15550131009", "fails the whole call with 131009", trickSinks131009},
		{"+15550130429", "fails the first whole call of each operation and phone number ID with 130429, then succeeds", trickRateOnce},
		{"+15550003000", "succeeds, and makes its call take 3 s longer", trickSlow},
	}
}

// testNumberPrefix starts all of them: looking at it spares other numbers a look-up.
const testNumberPrefix = "+15550"

func tricks() map[string]trick {
	m := map[string]trick{}
	for _, n := range TestNumbers() {
		m[n.Number] = n.trick
	}
	return m
}
