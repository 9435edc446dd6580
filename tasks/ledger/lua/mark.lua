-- mark.lua: writes down what is wanted, if newer than what the ledger holds, and tells where
-- each user stands. Marking again changes nothing, so it is also how a task looks.
--
-- KEYS     as record.lua, then [9] the last version that was given out
-- ARGV[1]  channel to publish on when users begin to wait in a line where none did
-- ARGV[2]  the message: the phone number ID
-- ARGV[3…] segments: op, queue, version, n, then n users
-- Returns  one letter per user, in the order given: n wanted in a newer version, else the
--          state at this version: w waiting, f in flight, s succeeded, d dead, x discarded

local RANK = {i = 1, b = 2, r = 3}
local HOUR = 3600000000 -- in µs
local states, wake, looked_at = {}, false, {}

-- joins wakes the lanes when the line that a user joins has been empty until now.
local function joins(line)
  if not looked_at[line] then
    looked_at[line] = true
    if redis.call('ZCARD', line) == 0 then wake = true end
  end
end

-- leaves takes a user out of where it waits, and returns its place if that was in line.
local function leaves(user, old)
  local line = WAITING[old.queue .. old.op]
  local place = redis.call('ZSCORE', line, user)
  if place then redis.call('ZREM', line, user) else redis.call('ZREM', LATER, user) end
  return place
end

local function mark(writes, user, old, op, queue, version)
  local r = {op = op, state = 'w', queue = queue, attempts = '0', version = version,
    claim = old and old.claim or NONE, wa_id = old and old.wa_id or NONE,
    settled = '0', first = '0', more = old and old.more or '', failure = ''}
  local waits = old and old.state == 'w'
  -- Asking again must not mean waiting longer: the better queue and the older place stay.
  if waits and RANK[old.queue] < RANK[queue] then r.queue = old.queue end
  if r.claim == NONE then -- else the end of the call that holds it puts it in line
    joins(WAITING[r.queue .. op])
    wait_now(writes, user, r, waits and leaves(user, old))
  end
  put(writes, user, r)
end

-- look returns op, state and version of what parse would take for a record, at less cost.
local function look(line)
  if not line then return nil end
  local op, state, version, at = string.match(line, '^([bu]) ([wfsdx]) [ibr] %d+ (%d+) %S+ %S+ %d+ %d+()')
  if op and (at > #line or string.byte(line, at) == 10) then return op, state, version end
  local r = parse(line)
  if r then return r.op, r.state, r.version end
end

-- The version counter may have lost its end (a failover) while the clock was set back: then what
-- is asked for from now on must not get a version below one that was given out before.
local function catch_up(version)
  local t = redis.call('TIME')
  local now = t[1] * 1000000 + t[2]
  if version <= now or version > now + HOUR then return end
  if version > (tonumber(redis.call('GET', KEYS[9]) or '') or 0) then redis.call('SET', KEYS[9], whole(version)) end
end

local i = 3
while i <= #ARGV do
  local op, queue, version, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local wanted = tonumber(version)
  catch_up(wanted)
  local lines, writes = redis.call('HMGET', USERS, unpack(ARGV, i + 4, i + 3 + n)), batch()
  local marked = {} -- here, by user: a second mark would not find the place that the first took over
  for j = 1, n do
    local has_op, state, has = look(lines[j])
    if has == version and has_op == op then
      states[#states + 1] = state
    elseif has and tonumber(has) >= wanted then -- who was first has a version that two share
      states[#states + 1] = 'n'
    else
      local user = ARGV[i + 3 + j]
      if not marked[user] then mark(writes, user, parse(lines[j]), op, queue, version) end
      marked[user] = true
      states[#states + 1] = 'w'
    end
  end
  flush(writes) -- before the next segment, which may name the same users
  i = i + 4 + n
end
if wake then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return table.concat(states)
