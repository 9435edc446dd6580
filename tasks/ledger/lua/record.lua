-- record.lua: what every script of the ledger starts with.
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
-- and behind a line feed, if an attempt failed, the failure as JSON, which no script reads.
--
-- A user that waits, and is under no claim, stands in exactly one of
--   KEYS[3..8]  waiting, by queue and operation (ib iu bb bu rb ru), scored by version: oldest first
--   KEYS[2]     later, scored by the time in ms from when it may be claimed
-- A user under a claim stands in KEYS[2], scored by the claim's deadline.

local USERS, LATER = KEYS[1], KEYS[2]
local WAITING = {ib = KEYS[3], iu = KEYS[4], bb = KEYS[5], bu = KEYS[6], rb = KEYS[7], ru = KEYS[8]}
local RANK = {i = 1, b = 2, r = 3}
local NONE = '-'

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function parse(line)
  if not line then return nil end
  local op, state, queue, attempts, version, claim, wa_id, settled, first, failure =
    string.match(line, '^(%a) (%a) (%a) (%d+) (%d+) (%S+) (%S+) (%d+) (%d+)\n?(.*)$')
  if not op then return nil end
  return {op = op, state = state, queue = queue, attempts = tonumber(attempts), version = version,
    claim = claim, wa_id = wa_id, settled = settled, first = first, failure = failure}
end

local function format(r)
  local line = r.op .. ' ' .. r.state .. ' ' .. r.queue .. ' ' .. string.format('%d', r.attempts) .. ' ' ..
    r.version .. ' ' .. r.claim .. ' ' .. r.wa_id .. ' ' .. r.settled .. ' ' .. r.first
  if r.failure == '' then return line end
  return line .. '\n' .. r.failure
end

-- A batch gathers the writes of one script by command and key, and sends each in few calls.
local function batch()
  return {order = {}, args = {}}
end

local function add(b, command, key, ...)
  local id = command .. ' ' .. key
  local args = b.args[id]
  if not args then
    args = {}
    b.args[id] = args
    b.order[#b.order + 1] = {id, command, key}
  end
  for _, v in ipairs({...}) do args[#args + 1] = v end
end

local function flush(b)
  for _, o in ipairs(b.order) do
    local args = b.args[o[1]]
    for from = 1, #args, 2000 do -- an even number: pairs stay together
      redis.call(o[2], o[3], unpack(args, from, math.min(from + 1999, #args)))
    end
  end
end

local function put(b, user, r) add(b, 'HSET', USERS, user, format(r)) end
local function wait_now(b, user, r) add(b, 'ZADD', WAITING[r.queue .. r.op], r.version, user) end
