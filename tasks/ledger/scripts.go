package ledger

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/record.lua
var recordLua string

//go:embed lua/tally.lua
var tallyLua string

//go:embed lua/names.lua
var namesLua string

//go:embed lua/version.lua
var versionLua string

//go:embed lua/counts.lua
var countsLua string

//go:embed lua/undone.lua
var undoneLua string

//go:embed lua/register.lua
var registerLua string

//go:embed lua/lines.lua
var linesLua string

//go:embed lua/ends.lua
var endsLua string

//go:embed lua/cancel.lua
var cancelLua string

//go:embed lua/move_ends.lua
var moveEndsLua string

//go:embed lua/plan.lua
var planLua string

//go:embed lua/persons.lua
var personsLua string

//go:embed lua/stack.lua
var stackLua string

//go:embed lua/join.lua
var joinLua string

//go:embed lua/mark.lua
var markLua string

//go:embed lua/claim.lua
var claimLua string

//go:embed lua/take_over.lua
var takeOverLua string

//go:embed lua/renew.lua
var renewLua string

//go:embed lua/settle.lua
var settleLua string

//go:embed lua/backlog.lua
var backlogLua string

//go:embed lua/discard.lua
var discardLua string

//go:embed lua/forget.lua
var forgetLua string

//go:embed lua/hasten.lua
var hastenLua string

//go:embed lua/adopt.lua
var adoptLua string

//go:embed lua/hold.lua
var holdLua string

// scripts are stateless and shared: a Script is a text and its hash.
var (
	versionScript  = redis.NewScript(versionLua)
	endsScript     = redis.NewScript(recordLua + countsLua + linesLua + endsLua)
	cancelScript   = redis.NewScript(recordLua + persons(10) + countsLua + linesLua + cancelLua)
	moveEndsScript = redis.NewScript(moveEndsLua)
	planScript     = redis.NewScript(planLua)
	registerScript = redis.NewScript(registerLua)
	markScript     = redis.NewScript(recordLua + persons(11) + countsLua + linesLua + stackLua + markLua)
	claimScript    = redis.NewScript(recordLua + tallyLua + claimLua)
	takeOverScript = redis.NewScript(recordLua + takeOverLua)
	renewScript    = redis.NewScript(recordLua + persons(9) + countsLua + undoneLua + renewLua)
	settleScript   = redis.NewScript(recordLua + "local NAMES = KEYS[10]\n" + namesLua + persons(11) + countsLua + undoneLua + settleLua)
	backlogScript  = redis.NewScript(recordLua + tallyLua + backlogLua)
	discardScript  = redis.NewScript(recordLua + persons(9) + discardLua)
	forgetScript   = redis.NewScript(recordLua + "local NAMES = KEYS[9]\n" + namesLua + forgetLua)
	joinScript     = redis.NewScript(recordLua + "local NAMES = KEYS[9]\n" + namesLua + persons(10) + countsLua + linesLua + stackLua + joinLua)
	hastenScript   = redis.NewScript(recordLua + persons(9) + hastenLua)
	adoptScript    = redis.NewScript(recordLua + adoptLua)
	freezeScript   = redis.NewScript(holdLua)
)

// persons returns persons.lua for a script whose key of this place is PERSONS.
func persons(key int) string { return fmt.Sprintf("local PERSONS = KEYS[%d]\n", key) + personsLua }

// ErrReply is returned, wrapped, when Redis answers a script with what the script never
// returns: another version of wablock, or another program, wrote the keys.
var ErrReply = errors.New("unexpected reply of a script")

// ErrInvalid is returned, wrapped, when an argument cannot be written down, such as a request
// without a user; nothing was written then.
var ErrInvalid = errors.New("invalid argument")
