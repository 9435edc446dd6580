-- claim.lua: takes up to a call's worth of users, of one operation, for one call.
--
-- KEYS     as record.lua, then [9] the key that holds all calls back while it lasts, [10] CLAIMS and
--          [11] TAKEN of take_over.lua, and [12] and [13] the keys that stop blocks and unblocks while they exist
-- ARGV[1]  ID of the claim; of the same one when a reply got lost
-- ARGV[2]  how many users at the most
-- ARGV[3]  ms from now until the claim's deadline
-- ARGV[4]  operations to choose from: "bu", "b" or "u"
-- ARGV[5]  "1" to choose the operation of the user that waits longest, in any queue
-- ARGV[6]  if above 0, the claim is for a user without an attempt used up: others go along with
--          one, and else rest for so many ms, as far as they stand in front of such users
-- ARGV[7]  "1" to leave most of the users whose deadline has passed to the next claim
-- Returns  as tally.lua, then op ("" when none was claimed), then one text with a line
--          "user version attempts company limited paused" for each that was claimed, then how many rest, for
--          that or for the end of a call whose claim was taken over; -1 when many users were put in line again and none
--          was claimed: the script is to be run once more. The last three are those of its last
--          failure, else 0. A claim that comes again names
--          the users that it took and still holds, for the same request, and changes nothing.

local SWEEP = 1000 -- users that are put in line again at a time
local FEW = 200 -- that a run puts in line and claims as well: each of the two is some milliseconds' work for a thousand
local READ = 2000 -- users that a claim for fresh ones reads at the most
local OLD = 10 -- claims whose deadline has passed that are forgotten at a time
local CLAIMS, TAKEN = KEYS[10], KEYS[11]
local CHUNK = 200 -- users that a claim for fresh ones reads at a time, at the least
local id, room, ops, now = ARGV[1], tonumber(ARGV[2]), ARGV[4], now_ms()
local rest, resting = tonumber(ARGV[6]), 0
local deadline = whole(now + ARGV[3])

-- rest_of returns what follows a user in its line of the reply.
local function rest_of(r)
  local words = ' ' .. r.version .. ' ' .. r.attempts
  if r.failure == '' then return words .. ' 0 0 0' end
  for _, key in ipairs({'company', 'limited', 'paused'}) do
    words = words .. ' ' .. (string.match(r.failure, '"' .. key .. '":(%d+)') or '0')
  end
  return words
end

-- again returns the users that this claim, made before, still holds. They stand in LATER at its deadline.
local function again(deadline)
  local users, claimed = redis.call('ZRANGEBYSCORE', LATER, deadline, deadline), {}
  for from = 1, #users, SWEEP do
    local lines = redis.call('HMGET', USERS, unpack(users, from, math.min(from + SWEEP - 1, #users)))
    for k, line in ipairs(lines) do
      local r = parse(line)
      if r and r.claim == id and r.state == 'f' then
        claimed[#claimed + 1] = users[from + k - 1] .. rest_of(r)
      end
    end
  end
  return claimed
end

-- Times that a clock which was set back since has left far ahead come at this claim's deadline:
-- no sooner, since a call may be out.
local function pull_in()
  local calls = redis.call('ZRANGEBYSCORE', TAKEN, '(' .. whole(now + FAR), '+inf', 'LIMIT', 0, SWEEP)
  for _, call in ipairs(calls) do redis.call('ZADD', TAKEN, deadline, call) end
  local far = redis.call('ZRANGEBYSCORE', LATER, '(' .. whole(now + FAR), '+inf', 'LIMIT', 0, SWEEP)
  if #far == 0 then return end
  local writes = batch()
  writes.leave = far -- only so that the first write is one that removes
  for _, user in ipairs(far) do put_later(writes, user, deadline) end
  flush(writes)
end

-- sweep puts users in line again whose deadline has passed: a retry that is due, or a call that never ended. It
-- returns whether they were many.
local function sweep(most)
  local due = redis.call('ZRANGEBYSCORE', LATER, '-inf', now, 'LIMIT', 0, most)
  if #due == 0 then return false end
  local lines, writes = redis.call('HMGET', USERS, unpack(due)), batch()
  writes.leave = due
  for k, user in ipairs(due) do
    local r = parse(lines[k])
    if r and (r.state == 'w' or r.state == 'f') then
      if r.claim ~= NONE then
        touched(r) -- its call may have been carried out
        r.claim, r.state = NONE, 'w'
        put(writes, user, r)
      end
      wait_now(writes, user, r)
    end
  end
  flush(writes)
  return #due > FEW
end

-- The operation whose oldest user waits longest: in the first queue that has one, or in any.
local function choose()
  local best, oldest
  for _, queue in ipairs(QUEUES) do
    for op in string.gmatch(ops, '.') do
      local head = redis.call('ZRANGE', WAITING[queue .. op], 0, 0, 'WITHSCORES')
      if head[1] and (not oldest or tonumber(head[2]) < oldest) then
        best, oldest = op, tonumber(head[2])
      end
    end
    if best and ARGV[5] ~= '1' then return best end
  end
  return best
end

-- hold claims a user that waits. Others may share the record: see read.
local function hold(writes, claimed, user, r)
  if not r.held then
    r.state, r.claim = 'f', id
    r.held, r.rest = format(r), rest_of(r)
    r.state, r.claim = 'w', NONE
  end
  pair(writes.records, user, r.held)
  put_later(writes, user, deadline)
  claimed[#claimed + 1] = user .. r.rest
end

local function waits(r, queue, op)
  return r and r.state == 'w' and r.claim == NONE and r.op == op and r.queue == queue
end

-- keep_back reads until when the users of a line have to wait because a call of the other operation may be out
-- whose claim was taken over, and returns what lets one wait for that, and reports whether it did.
local function keep_back(op, users, writes)
  if redis.call('EXISTS', TAKEN) == 0 then
    return function() return false end
  end
  local names, other = {}, op == 'b' and 'u ' or 'b '
  for k, user in ipairs(users) do names[k] = other .. user end
  local ends = redis.call('ZMSCORE', TAKEN, unpack(names))
  return function(k)
    if not ends[k] or tonumber(ends[k]) <= now then return false end
    put_later(writes, users[k], ends[k])
    resting = resting + 1
    return true
  end
end

-- take claims the first want of one line. A user that stands there without waiting there (no
-- script leaves one so, but other programs may write keys) just leaves it.
local function take(queue, op, want, writes, claimed)
  local line = WAITING[queue .. op]
  local users = redis.call('ZRANGE', line, 0, want - 1)
  if #users == 0 then return end
  redis.call('ZREMRANGEBYRANK', line, 0, #users - 1)
  local lines, kept_back = redis.call('HMGET', USERS, unpack(users)), keep_back(op, users, writes)
  for k, user in ipairs(users) do
    local r = read(lines[k])
    if waits(r, queue, op) and not kept_back(k) then hold(writes, claimed, user, r) end
  end
end

-- take_fresh claims the first want of one line that are fresh, and takes out the others that stand
-- in front of them. It looks at no more than quota users, and returns what is left of the quota.
local function take_fresh(queue, op, want, quota, writes, claimed, tried)
  local line = WAITING[queue .. op]
  while quota > 0 and want > 0 do
    local users = redis.call('ZRANGE', line, 0, math.min(quota, math.max(want, CHUNK)) - 1)
    if #users == 0 then return quota end
    local lines, seen, kept_back = redis.call('HMGET', USERS, unpack(users)), 0, keep_back(op, users, writes)
    while seen < #users and want > 0 do
      seen = seen + 1
      local user, r = users[seen], read(lines[seen])
      if waits(r, queue, op) and not kept_back(seen) then
        if r.attempts == '0' then
          hold(writes, claimed, user, r)
          want = want - 1
        else
          pair(tried, user, r)
        end
      end
    end
    redis.call('ZREMRANGEBYRANK', line, 0, seen - 1)
    quota = quota - seen
  end
  return quota
end

-- go_along claims users that were tried, if a fresh one goes in the same call; the others rest.
local function go_along(tried, writes, claimed)
  local fresh = #claimed > 0
  for k = 1, #tried, 2 do
    if fresh and #claimed < room then
      hold(writes, claimed, tried[k], tried[k + 1])
    else
      put_later(writes, tried[k], whole(now + rest))
      resting = resting + 1
    end
  end
end

-- leave_paused takes the operations that are paused from those to choose from.
local function leave_paused()
  for k, op in ipairs({'b', 'u'}) do
    if redis.call('EXISTS', KEYS[11 + k]) == 1 then ops = string.gsub(ops, op, '') end
  end
end

-- remember keeps the claim until its deadline, so that it can be repeated and taken over.
local function remember(op)
  local old = redis.call('ZRANGEBYSCORE', CLAIMS, '-inf', whole(now), 'LIMIT', 0, OLD)
  if #old > 0 then redis.call('ZREM', CLAIMS, unpack(old)) end
  redis.call('ZADD', CLAIMS, deadline, op .. ' ' .. id)
  if redis.call('PTTL', CLAIMS) < FAR then redis.call('PEXPIRE', CLAIMS, 2 * FAR) end
end

-- made returns operation and deadline of this claim if it was made before, and its deadline has not passed.
local function made()
  local ends = redis.call('ZMSCORE', CLAIMS, 'b ' .. id, 'u ' .. id)
  for k, op in ipairs({'b', 'u'}) do
    if ends[k] and tonumber(ends[k]) > now then return op, ends[k] end
  end
end

local function claim()
  pull_in()
  -- For a fresh user, retries that are due only get in the way; the budget has room every second.
  if rest == 0 and sweep(ARGV[7] == '1' and FEW or SWEEP) then
    resting = -1
    return '', {}
  end
  local left = redis.call('PTTL', KEYS[9])
  local held = left >= 0 and left <= FAR
  leave_paused()
  local op, claimed, writes = not held and choose(), {}, batch()
  if not op then return '', claimed end
  local tried, quota = {}, READ
  for _, queue in ipairs(QUEUES) do
    local want = room - #claimed
    if rest > 0 then
      quota = take_fresh(queue, op, want, quota, writes, claimed, tried)
    elseif want > 0 then
      take(queue, op, want, writes, claimed)
    end
  end
  go_along(tried, writes, claimed)
  flush(writes)
  if #claimed > 0 then remember(op) end
  return op, claimed
end

local claimed
local op, until_then = made()
if op then
  claimed = again(until_then)
else
  op, claimed = claim()
end
local reply = tally(now)
reply[#reply + 1] = #claimed > 0 and op or ''
reply[#reply + 1] = table.concat(claimed, '\n')
reply[#reply + 1] = resting
return reply
