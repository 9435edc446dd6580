-- record.lua: what each script of the ledger that reads or writes records starts with.
--
-- A user's record is one line of nine words in the hash KEYS[1], by user:
--
--   op state queue attempts version claim wa_id settled first
--
--   op        b block, u unblock: what is wanted
--   state     w waiting, f in flight, s succeeded, d dead, x dead and discarded
--   queue     i interactive, b bulk, r reconcile
--   attempts  attempts used up at this version
--   version   of the request that is wanted, the latest that was marked
--   claim     ID of the claim that a call holds the user under, "-" for none; it outlives a
--             newer mark, so that a user is never in two calls at once
--   wa_id     as the API told it last, "-" when it never did
--   settled   when the user ended, in ms, 0 for not yet
--   first     when an attempt at this version first failed, in ms, 0 for never
--
-- and behind a line feed, if an attempt failed, the failure as JSON, which no script reads. A
-- tenth word, a number, is the format of a newer program's record, and what follows it is that
-- program's: both stay as they are, whatever is written here. Without one the format is 1. A
-- record that is not of this form counts as none: it can spoil its own user, no other.
--
-- Format 2, of requests that belong to a job that is counted (see counts.lua), goes on
--
--   2 of text [ends base flags stack]
--
--   of     the version that the rest belongs to. An older program's newer request leaves the words of
--          an older one behind: they say nothing then
--   text   digest of who asked and why, "-" for none; behind "*" the request is the end of a timed block
--   ends   when the block ends by itself, in ms, 0 for never
--   base   op that had succeeded last before this request, "-" for none that is known
--   flags  "t" when a call since then may have been carried out that did not succeed, else "-"
--   stack  while the request is pending, the requests that it displaced, "-" for none: see stack.lua
--
-- A user that waits, and is under no claim, stands in exactly one of
--   KEYS[3..8]  waiting, by queue and operation (ib iu bb bu rb ru), scored by version: oldest first
--   KEYS[2]     later, scored by the time in ms from when it may be claimed
-- A user under a claim stands in KEYS[2], scored by the claim's deadline.

local USERS, LATER = KEYS[1], KEYS[2]
local WAITING = {ib = KEYS[3], iu = KEYS[4], bb = KEYS[5], bu = KEYS[6], rb = KEYS[7], ru = KEYS[8]}
local QUEUES = {'i', 'b', 'r'}
local NONE = '-'
local REVOKED = '!' -- in front of a claim that its holder has lost, and that still keeps others out

-- No time in LATER is meant to be further ahead than this, in ms. One that is was written before
-- the clock was set back.
local FAR = 900000

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function whole(number) return string.format('%.0f', number) end

local STATES = {w = true, f = true, s = true, d = true, x = true}

local function parse(line)
  if not line then return nil end
  local op, state, queue, attempts, version, claim, wa_id, settled, first, at =
    string.match(line, '^([bu]) (%l) ([ibr]) (%d+) (%d+) (%S+) (%S+) (%d+) (%d+)()')
  if not op then return nil end
  local more, failure = '', ''
  if string.byte(line, at) == 10 then
    failure = string.sub(line, at)
  elseif at <= #line then
    local feed = string.find(line, '\n', at, true)
    more = string.sub(line, at, (feed or 0) - 1)
    if feed then failure = string.sub(line, feed) end
    if string.find(more, ' 2 ', 1, true) ~= 1 and not string.find(more, '^ %d+ ') and not string.find(more, '^ %d+$') then return nil end
  end
  if more == '' and not STATES[state] then return nil end
  return {op = op, state = state, queue = queue, attempts = attempts, version = version, claim = claim,
    wa_id = wa_id, settled = settled, first = first, more = more, failure = failure}
end

-- read is parse, at less cost where lines that follow each other are equal, as those of a job's new users are: it returns the
-- same table for them, of which what parse has read stays as it is.
local read_line, read_record
local function read(line)
  if line ~= read_line then read_line, read_record = line, parse(line) end
  return read_record
end

local function format(r)
  return r.op .. ' ' .. r.state .. ' ' .. r.queue .. ' ' .. r.attempts .. ' ' .. r.version .. ' ' ..
    r.claim .. ' ' .. r.wa_id .. ' ' .. r.settled .. ' ' .. r.first .. r.more .. r.failure
end

-- words returns what format 2 says of the request that the record holds, nil for nothing.
local function words(r)
  local of, text, rest = string.match(r.more, '^ 2 (%d+) (%S+)(.*)$')
  if of ~= r.version then return nil end
  local ends, base, flags, stack = string.match(rest, '^ (%d+) (%S) (%S+) (%S+)')
  return {text = text, ends = ends or '0', base = base or NONE, flags = flags or NONE, stack = stack or NONE}
end

local function set_words(r, w)
  r.more = ' 2 ' .. r.version .. ' ' .. w.text
  if w.ends ~= '0' or w.base ~= NONE or w.flags ~= NONE or w.stack ~= NONE then
    r.more = r.more .. ' ' .. w.ends .. ' ' .. w.base .. ' ' .. w.flags .. ' ' .. w.stack
  end
end

local ENDED = '*'

-- counted reports whether the record's request belongs to a job that is counted. It is asked for each user that ends, so
-- it makes no strings.
local function counted(r)
  local more, behind = r.more, 4 + #r.version
  return string.find(more, ' 2 ', 1, true) == 1 and string.find(more, r.version, 4, true) == 4 and
    string.byte(more, behind) == 32 and string.byte(more, behind + 1) ~= 42 -- ENDED
end

-- touched takes note that a call may have been carried out that did not succeed.
local function touched(r)
  local w = words(r)
  if not w then return end
  w.flags = 't'
  set_words(r, w)
end

-- ended_words drops what is kept of a pending request alone; a dead one may have been carried out.
local function ended_words(r)
  -- Most have no more than the text.
  local behind = 5 + #r.version
  if #r.more < behind or not string.find(r.more, ' ', behind, true) then return end
  local w = words(r)
  if not w or w.stack == NONE and (w.flags == NONE or r.state == 'd') then return end
  w.stack = NONE
  if r.state ~= 'd' then w.flags = NONE end
  set_words(r, w)
end

-- A script gathers its writes, and flush sends them in few calls. What removes goes first: a
-- Redis that is out of memory lets a script write on when its first write frees memory, so
-- that calls can still be claimed and settled there (and what waits be drained).
local function batch()
  return {leave = {}, records = {}, later = {}, waiting = {}}
end

local function pair(list, a, b)
  local n = #list
  list[n + 1], list[n + 2] = a, b
end

local function put(b, user, r) pair(b.records, user, format(r)) end
local function put_later(b, user, at) pair(b.later, at, user) end
local function leave_later(b, user) b.leave[#b.leave + 1] = user end

-- wait_now puts a user in line, at the place that its version gives it or an older one.
local function wait_now(b, user, r, place)
  local line = WAITING[r.queue .. r.op]
  local list = b.waiting[line]
  if not list then
    list = {}
    b.waiting[line] = list
  end
  pair(list, place or r.version, user)
end

local function send(command, key, args)
  for from = 1, #args, 2000 do -- unpack has its limit; an even number keeps pairs together
    redis.call(command, key, unpack(args, from, math.min(from + 1999, #args)))
  end
end

local function flush(b)
  send('ZREM', LATER, b.leave)
  send('HSET', USERS, b.records)
  send('ZADD', LATER, b.later)
  for line, args in pairs(b.waiting) do send('ZADD', line, args) end
end
