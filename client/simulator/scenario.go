package simulator

import (
	"slices"
	"time"
)

// Scenario is everything about the simulated API that can be set, as data: in Go, as a YAML or
// JSON file ([LoadScenario]), and while it runs ([Simulator.SetScenario]). The zero Scenario is
// a well-meaning API: no rate limit, no faults, any token, every user wrote a moment ago.
//
// Where the real API's behaviour is not known, the field says so and its default is the most
// likely answer; docs/simulator.md lists them all.
type Scenario struct {
	// Seed feeds every random decision. 0 means 1. The same seed and the same calls in the
	// same order to a phone number ID give the same answers.
	Seed uint64 `json:"seed,omitempty"`
	// APIVersion is the facebook-api-version header. Empty: the version that the caller asked
	// for, or v25.0 if its path names no version.
	APIVersion string `json:"api_version,omitempty"`

	// PhoneNumbers sets up business phone numbers. Others come into being when they are first
	// used, up to MaxPhoneNumbers (0: 1000) in all, unless OnlyListed.
	PhoneNumbers    []PhoneNumber `json:"phone_numbers,omitempty"`
	OnlyListed      bool          `json:"only_listed,omitempty"`
	MaxPhoneNumbers int           `json:"max_phone_numbers,omitempty"`
	// Users are users of WhatsApp with more than a number.
	Users []User `json:"users,omitempty"`
	// IgnoreTestNumbers makes the numbers of [TestNumbers] ordinary.
	IgnoreTestNumbers bool `json:"ignore_test_numbers,omitempty"`
	// UserIDs gives every user a business-scoped user ID, made from the wa_id: "US.7" and its digits. Those of
	// Users that have one keep it.
	UserIDs bool `json:"user_ids,omitempty"`

	// Tokens are those accepted. None listed: any bearer token that is not empty.
	Tokens []Token `json:"tokens,omitempty"`
	// AppSecret, if set, makes appsecret_proof compulsory. A made-up one, never a real one: it
	// can be read through the control endpoints.
	AppSecret string `json:"app_secret,omitempty"`

	Window   Window   `json:"window,omitzero"`
	Blocking Blocking `json:"blocking,omitzero"`
	Listing  Listing  `json:"listing,omitzero"`
	Answers  Answers  `json:"answers,omitzero"`
	Latency  Latency  `json:"latency,omitzero"`
	// Limits are the hidden rate limits. A call must pass all of them; without one there is
	// no limit.
	Limits []Limit `json:"limits,omitempty"`
	// Faults are looked at in order; of those that hit a whole call the first one counts.
	Faults  []Fault       `json:"faults,omitempty"`
	Journal JournalLimits `json:"journal,omitzero"`
}

// PhoneNumber is a business phone number and its blocklist.
type PhoneNumber struct {
	ID string `json:"id"`
	// Own is its number in E.164: blocking it gives 131021. Empty: unknown.
	Own string `json:"own,omitempty"`
	// Account is the WhatsApp Business Account that it belongs to. Empty: 102290129340398.
	Account string `json:"account,omitempty"`
	// Blocked are users on the list from the start and after a reset.
	Blocked []string `json:"blocked,omitempty"`
}

// User describes one user that differs from the ordinary. User or UserID is required; with both,
// they are two names of one user, who takes one slot of a list.
type User struct {
	User         string `json:"user,omitempty"`           // number in E.164
	WaID         string `json:"wa_id,omitempty"`          // empty: the digits of User
	UserID       string `json:"user_id,omitempty"`        // business-scoped user ID
	ParentUserID string `json:"parent_user_id,omitempty"` // shown in listings alone
	// Username hides the number: webhooks and listings show UserID, which is required, alone.
	Username string `json:"username,omitempty"`
	// Invalid: not on WhatsApp; blocking gives 131047 without a wa_id.
	Invalid bool `json:"invalid,omitempty"`
	// Wrote is the time before the start when this user last wrote to every phone number ID.
	// Absent: Window.SilentShare decides.
	Wrote *Duration `json:"wrote,omitempty"`
	// Silent users never wrote.
	Silent bool `json:"silent,omitempty"`
}

// Token is an access token that is accepted until it expires.
type Token struct {
	Token string `json:"token"`
	// ExpiresIn counts from when the scenario was set; 0: never.
	ExpiresIn Duration `json:"expires_in,omitempty"`
}

// Window is the rule that only users who wrote recently can be blocked.
type Window struct {
	// Length 0 means 24 h.
	Length Duration `json:"length,omitempty"`
	// SilentShare is the share, 0 to 1, of users never heard of before who have not written in
	// time; which ones is decided by their number and Seed. 0: all wrote a moment ago. 1
	// is the strict mode: none did.
	SilentShare float64 `json:"silent_share,omitempty"`
	// Scope of a user's message: "phone_number" (the default) or "account". Unknown.
	Scope string `json:"scope,omitempty"`
	// BlockedToo also asks it of users who are on the list already. Unknown.
	BlockedToo bool `json:"blocked_too,omitempty"`
	// UnblockToo also asks it of unblocks. Unknown: Meta's pages contradict each other.
	UnblockToo bool `json:"unblock_too,omitempty"`
}

// Blocking holds the settings of block and unblock calls.
type Blocking struct {
	// Capacity of each list; 0 means 64,000.
	Capacity int `json:"capacity,omitempty"`
	// FreeEvery, if set, makes room for one more user this often, counted from when the scenario
	// was set: a full list with a trickle of free places.
	FreeEvery Duration `json:"free_every,omitempty"`
	// FullList: "user" (the default) fills the list and fails those beyond with 139101;
	// "call" fails the call as a whole and adds no user. Unknown.
	FullList string `json:"full_list,omitempty"`
	// BadUsers, meaning one's own number and what is no number: "user" (the default) fails
	// them alone, "call" fails the call with 131021 or 131009. Unknown.
	BadUsers string `json:"bad_users,omitempty"`
	// MaxUsers a call may carry; 0 means 1000. Above it the call fails with TooManyCode: 0
	// means 130429, and 100 is the other likely one. Unknown.
	MaxUsers    int `json:"max_users,omitempty"`
	TooManyCode int `json:"too_many_code,omitempty"`
	// EmptyCode is the error for a call without users; 0 answers 200. Unknown.
	EmptyCode int `json:"empty_code,omitempty"`
	// RepeatCode is the error of each user who is blocked, or not blocked, already; 0 is
	// success. Unknown.
	RepeatCode int `json:"repeat_code,omitempty"`
	// NoUserIDs refuses business-scoped user IDs, as the API did before 2026.
	NoUserIDs bool `json:"no_user_ids,omitempty"`
	// ParentUserIDs accepts parent IDs ("US.ENT.…"); else they fail the call with 100.
	ParentUserIDs bool `json:"parent_user_ids,omitempty"`
	// FollowsUser moves the block of a user who changes their number to the new one. Else the old number stays on the
	// list. Unknown.
	FollowsUser bool `json:"follows_user,omitempty"`
}

// Listing holds the settings of listings.
type Listing struct {
	// DefaultLimit and MaxLimit of a page; 0 means 25 and 100. Above the maximum a limit is
	// cut to it, or with RefuseOverMax refused with 100. Unknown.
	DefaultLimit  int  `json:"default_limit,omitempty"`
	MaxLimit      int  `json:"max_limit,omitempty"`
	RefuseOverMax bool `json:"refuse_over_max,omitempty"`
	// OmitNext leaves out paging.next and paging.previous, as Meta's samples do. Unknown.
	OmitNext bool `json:"omit_next,omitempty"`
	// OlderShape answers in the form of Meta's pages of 2025: lists inside data.
	OlderShape bool `json:"older_shape,omitempty"`
	// OmitUserIDs leaves out user_id and parent_user_id of users who have a wa_id. Unknown.
	OmitUserIDs bool `json:"omit_user_ids,omitempty"`
	// UserIDsAlone leaves out the wa_id of users who have a user_id, as for users with a username and no contact with
	// the business for 30 days.
	UserIDsAlone bool `json:"user_ids_alone,omitempty"`
	// NoOpBumps gives the list a new version also when a call changed nothing. Unknown.
	NoOpBumps bool `json:"no_op_bumps,omitempty"`
	// Lag is the time that a change takes to show in listings. Unknown.
	Lag Duration `json:"lag,omitempty"`
	// ChangedStatus is the HTTP status of 139102; 0 means 400. Unknown.
	ChangedStatus int `json:"changed_status,omitempty"`
	// NewestFirst turns the order around. Unknown.
	NewestFirst bool `json:"newest_first,omitempty"`
}

// Answers holds the form of answers on the wire.
type Answers struct {
	// MixedStatus is the HTTP status of an answer in which some or all users failed; 0 means
	// 400, and 200 is the other likely one. Unknown.
	MixedStatus int `json:"mixed_status,omitempty"`
	// StringCodes writes error codes as strings.
	StringCodes bool `json:"string_codes,omitempty"`
	// EmptyLists writes lists without users as [] instead of leaving them out.
	EmptyLists bool `json:"empty_lists,omitempty"`
	// UnblockAdds calls the list of an unblock added_users, as older pages did.
	UnblockAdds bool `json:"unblock_adds,omitempty"`
	// Shuffle gives users in another order than they were asked for.
	Shuffle bool `json:"shuffle,omitempty"`
	// OmitUsage leaves out x-business-use-case-usage; AppUsage adds x-app-usage; RetryAfter
	// adds Retry-After to calls refused for their rate. Unknown.
	OmitUsage  bool `json:"omit_usage,omitempty"`
	AppUsage   bool `json:"app_usage,omitempty"`
	RetryAfter bool `json:"retry_after,omitempty"`
}

// Latency is the duration of a call: Base, PerUser for each user (or listed entry asked for),
// and up to Jitter more. Half of it passes before the call takes effect, half after. Refused
// calls are answered at once.
type Latency struct {
	Base    Duration `json:"base,omitempty"`
	PerUser Duration `json:"per_user,omitempty"`
	Jitter  Duration `json:"jitter,omitempty"`
}

// JournalLimits bound the journal: the oldest calls are dropped beyond Calls (0: 10,000) calls,
// or calls that carried Users (0: 200,000) users in all.
type JournalLimits struct {
	Calls int `json:"calls,omitempty"`
	Users int `json:"users,omitempty"`
}

// The forms of a user's failure.
const (
	perUser = "user"
	perCall = "call"
)

// defaultAccount owns the phone numbers for which none is named.
const defaultAccount = "102290129340398"

// withDefaults returns the scenario with every zero that stands for something filled in.
func (sc Scenario) withDefaults() Scenario {
	def(&sc.Seed, 1)
	def(&sc.MaxPhoneNumbers, 1000)
	def(&sc.Window.Length, Duration(24*time.Hour))
	def(&sc.Window.Scope, scopePhoneNumber)
	def(&sc.Blocking.Capacity, 64_000)
	def(&sc.Blocking.FullList, perUser)
	def(&sc.Blocking.BadUsers, perUser)
	def(&sc.Blocking.MaxUsers, 1000)
	def(&sc.Blocking.TooManyCode, codeRateLimit)
	def(&sc.Listing.DefaultLimit, 25)
	def(&sc.Listing.MaxLimit, 100)
	def(&sc.Listing.ChangedStatus, 400)
	def(&sc.Answers.MixedStatus, 400)
	def(&sc.Journal.Calls, 10_000)
	def(&sc.Journal.Users, 200_000)
	sc.PhoneNumbers = slices.Clone(sc.PhoneNumbers)
	for i := range sc.PhoneNumbers {
		def(&sc.PhoneNumbers[i].Account, defaultAccount)
	}
	sc.Users = slices.Clone(sc.Users)
	for i, u := range sc.Users {
		if name, ok := canonical(u.User); ok {
			def(&sc.Users[i].WaID, name[1:])
		}
	}
	sc.Limits = slices.Clone(sc.Limits)
	for i := range sc.Limits {
		sc.Limits[i] = sc.Limits[i].withDefaults()
	}
	sc.Faults = slices.Clone(sc.Faults)
	for i := range sc.Faults {
		sc.Faults[i] = sc.Faults[i].withDefaults()
	}
	return sc
}
