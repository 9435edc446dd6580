-- claim.lua: takes up to a call's worth of users, of one operation, for one call.
--
-- KEYS     as record.lua
-- ARGV[1]  ID of the claim, never used before
-- ARGV[2]  how many users at the most
-- ARGV[3]  ms from now until the claim's deadline
-- ARGV[4]  operations to choose from: "bu", "b" or "u"
-- Returns  op ("" when none was claimed), users left waiting by queue (i, b, r), users in
--          LATER, ms until the first of them is due (-1 for none), then user, version,
--          attempts for each that was claimed

local id, room, hold, ops = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = now_ms()
local QUEUES = {'i', 'b', 'r'}

-- Whom a deadline has passed waits again: a retry that is due, or a call that never ended.
local function sweep()
  local due = redis.call('ZRANGEBYSCORE', LATER, '-inf', now, 'LIMIT', 0, 2000)
  if #due == 0 then return end
  local lines, writes = redis.call('HMGET', USERS, unpack(due)), batch()
  for k, user in ipairs(due) do
    local r = parse(lines[k])
    add(writes, 'ZREM', LATER, user)
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

local function take(op, claimed)
  local writes = batch()
  for _, queue in ipairs(QUEUES) do
    local want = room - #claimed / 3
    if want <= 0 then break end
    local popped = redis.call('ZPOPMIN', WAITING[queue .. op], want)
    local users = {}
    for k = 1, #popped, 2 do users[#users + 1] = popped[k] end
    local lines = #users > 0 and redis.call('HMGET', USERS, unpack(users)) or {}
    for k, user in ipairs(users) do
      local r = parse(lines[k])
      if r and r.state == 'w' and r.claim == NONE then
        r.state, r.claim = 'f', id
        put(writes, user, r)
        add(writes, 'ZADD', LATER, string.format('%.0f', now + hold), user)
        claimed[#claimed + 1] = user
        claimed[#claimed + 1] = r.version
        claimed[#claimed + 1] = r.attempts
      end
    end
  end
  flush(writes)
end

sweep()
local op, claimed = choose(), {}
if op then take(op, claimed) end

local reply = {#claimed > 0 and op or ''}
for _, queue in ipairs(QUEUES) do
  reply[#reply + 1] = redis.call('ZCARD', WAITING[queue .. 'b']) + redis.call('ZCARD', WAITING[queue .. 'u'])
end
reply[#reply + 1] = redis.call('ZCARD', LATER)
local first = redis.call('ZRANGE', LATER, 0, 0, 'WITHSCORES')
reply[#reply + 1] = first[2] and math.max(0, tonumber(first[2]) - now) or -1
for _, v in ipairs(claimed) do reply[#reply + 1] = v end
return reply
