-- claim.lua: takes up to a call's worth of users, of one operation, for one call.
--
-- KEYS     as record.lua, then the key that holds all calls back while it exists
-- ARGV[1]  ID of the claim, never used before
-- ARGV[2]  how many users at the most
-- ARGV[3]  ms from now until the claim's deadline
-- ARGV[4]  operations to choose from: "bu", "b" or "u"
-- Returns  as tally.lua, then op ("" when none was claimed), then one text with a line
--          "user version attempts" for each that was claimed

local SWEEP = 2000 -- twice a call's worth, so that claims catch up with any number of the due
local id, room, hold, ops = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = now_ms()

-- Whom a deadline has passed waits again: a retry that is due, or a call that never ended.
local function sweep()
  local due = redis.call('ZRANGEBYSCORE', LATER, '-inf', now, 'LIMIT', 0, SWEEP)
  if #due == 0 then return end
  local lines, writes = redis.call('HMGET', USERS, unpack(due)), batch()
  writes.leave = due
  for k, user in ipairs(due) do
    local r = parse(lines[k])
    if r and (r.state == 'w' or r.state == 'f') then
      if r.claim ~= NONE then
        r.claim, r.state = NONE, 'w'
        put(writes, user, r)
      end
      wait_now(writes, user, r)
    end
  end
  flush(writes)
end

-- The operation whose oldest user waits longest, in the first queue that has one.
local function choose()
  for _, queue in ipairs(QUEUES) do
    local best, oldest
    for op in string.gmatch(ops, '.') do
      local head = redis.call('ZRANGE', WAITING[queue .. op], 0, 0, 'WITHSCORES')
      if head[1] and (not oldest or tonumber(head[2]) < oldest) then
        best, oldest = op, tonumber(head[2])
      end
    end
    if best then return best end
  end
  return nil
end

-- take claims the first want of one line. Whoever stands there without waiting there (no
-- script leaves anybody so, but other programs may write keys) just leaves it.
local function take(queue, op, want, writes, claimed)
  local line, deadline = WAITING[queue .. op], whole(now + hold)
  local users = redis.call('ZRANGE', line, 0, want - 1)
  if #users == 0 then return end
  redis.call('ZREMRANGEBYRANK', line, 0, #users - 1)
  local lines = redis.call('HMGET', USERS, unpack(users))
  for k, user in ipairs(users) do
    local r = parse(lines[k])
    if r and r.state == 'w' and r.claim == NONE and r.op == op and r.queue == queue then
      r.state, r.claim = 'f', id
      put(writes, user, r)
      put_later(writes, user, deadline)
      claimed[#claimed + 1] = user .. ' ' .. r.version .. ' ' .. r.attempts
    end
  end
end

sweep()
local held = redis.call('EXISTS', KEYS[9]) == 1
local op, claimed, writes = not held and choose(), {}, batch()
if op then
  for _, queue in ipairs(QUEUES) do
    local want = room - #claimed
    if want > 0 then take(queue, op, want, writes, claimed) end
  end
  flush(writes)
end
local reply = tally(now)
reply[#reply + 1] = #claimed > 0 and op or ''
reply[#reply + 1] = table.concat(claimed, '\n')
return reply
