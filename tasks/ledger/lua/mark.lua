-- mark.lua: writes down what is wanted, if newer than what the ledger holds, and tells where
-- each user stands. Marking again changes nothing, so it is also how a task looks.
--
-- KEYS     as record.lua
-- ARGV[1]  channel to poke when users begin to wait in a queue where none did
-- ARGV[2]  what to say there: the phone number ID
-- ARGV[3…] segments: op, queue, version, n, then n users
-- Returns  one letter per user, in the order given: n wanted in a newer version, else the
--          state at this version: w waiting, f in flight, s succeeded, d dead, x discarded

local states, poke = {}, false

-- keeps_place moves a user that waits already to its new list, with the better of the two
-- queues and the older of the two places: asking again must not mean waiting longer.
local function keeps_place(user, r, old)
  if RANK[old.queue] < RANK[r.queue] then r.queue = old.queue end
  local from = WAITING[old.queue .. old.op]
  local place = redis.call('ZSCORE', from, user)
  if place then redis.call('ZREM', from, user) else redis.call('ZREM', LATER, user) end
  redis.call('ZADD', WAITING[r.queue .. r.op], place or r.version, user)
end

local function mark(writes, user, old, op, queue, version)
  local r = {op = op, state = 'w', queue = queue, attempts = 0, version = version,
    claim = old and old.claim or NONE, wa_id = old and old.wa_id or NONE,
    settled = '0', first = '0', failure = ''}
  if r.claim == NONE then -- else the end of the call that holds it puts it in line
    if old and old.state == 'w' then
      keeps_place(user, r, old)
    else
      if not poke and redis.call('ZCARD', WAITING[queue .. op]) == 0 then poke = true end
      wait_now(writes, user, r)
    end
  end
  put(writes, user, r)
end

local i = 3
while i <= #ARGV do
  local op, queue, version, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local wanted = tonumber(version)
  local lines, writes = redis.call('HMGET', USERS, unpack(ARGV, i + 4, i + 3 + n)), batch()
  for j = 1, n do
    local r = parse(lines[j])
    local have = r and tonumber(r.version) or -1
    if have > wanted then
      states[#states + 1] = 'n'
    elseif have == wanted then
      states[#states + 1] = r.state
    else
      mark(writes, ARGV[i + 3 + j], r, op, queue, version)
      states[#states + 1] = 'w'
    end
  end
  flush(writes) -- before the next segment, which may name the same users
  i = i + 4 + n
end
if poke then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return table.concat(states)
