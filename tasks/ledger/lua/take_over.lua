-- take_over.lua: lets the users of claims whose worker seems to be dead wait in line again, before the claims' deadlines.
--
-- The call under such a claim may still be out. To repeat it does no harm; a call of the other operation has to wait
-- until it must have ended, which is the claim's deadline: claim.lua keeps users back by TAKEN. A user is taken over
-- once in such a time: workers that take each other for dead would else take users from each other for ever.
--
-- KEYS     as record.lua, then [9] CLAIMS: sorted set of the claims, as "op ID", by their deadlines in ms, and
--          [10] TAKEN: sorted set of "op user" of the calls whose claims were taken over, by those claims' deadlines
-- ARGV[1]  how many users are enough
-- ARGV[2…] claims, as they stand in CLAIMS
-- Returns  how many of the claims were looked at, how many users were taken over

local CLAIMS, TAKEN = KEYS[9], KEYS[10]
local CHUNK = 1000 -- users that are read at a time
local now, enough = now_ms(), tonumber(ARGV[1])
local looked, taken, last = 0, 0, 0
local writes, calls = batch(), {}

-- take takes those users over that stand at a claim's deadline and that it holds.
local function take(op, id, deadline, users)
  local lines, names = redis.call('HMGET', USERS, unpack(users)), {}
  for k, user in ipairs(users) do names[k] = op .. ' ' .. user end
  local before = redis.call('ZMSCORE', TAKEN, unpack(names))
  for k, user in ipairs(users) do
    local r = parse(lines[k])
    if r and r.claim == id and not (before[k] and tonumber(before[k]) > now) then
      touched(r) -- its call may have been carried out
      r.claim, r.state = NONE, 'w'
      leave_later(writes, user)
      put(writes, user, r)
      wait_now(writes, user, r)
      pair(calls, deadline, names[k])
      taken, last = taken + 1, math.max(last, tonumber(deadline))
    end
  end
end

for i = 2, #ARGV do
  local deadline = redis.call('ZSCORE', CLAIMS, ARGV[i])
  if deadline and tonumber(deadline) > now and tonumber(deadline) <= now + FAR then
    local users = redis.call('ZRANGEBYSCORE', LATER, deadline, deadline)
    for from = 1, #users, CHUNK do
      take(string.sub(ARGV[i], 1, 1), string.sub(ARGV[i], 3), deadline, {unpack(users, from, math.min(from + CHUNK - 1, #users))})
    end
  end
  looked = looked + 1
  if taken >= enough then break end
end
flush(writes)
if taken > 0 then
  redis.call('ZREMRANGEBYSCORE', TAKEN, '-inf', whole(now))
  send('ZADD', TAKEN, calls)
  if redis.call('PTTL', TAKEN) < last - now then redis.call('PEXPIRE', TAKEN, whole(last - now)) end
end
return {looked, taken}
