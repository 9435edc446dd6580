-- settle.lua: writes down what came of a call, for each of its users.
--
-- KEYS     as record.lua
-- ARGV[1]  ID of the claim
-- ARGV[2…] user, version, verdict, delay in ms, wa_id ("" when not told), failure (JSON, or "")
--          verdict: s succeeded, r retry, w wait (a retry that uses up no attempt), d dead
-- Returns  one word list per user: letter, attempts, first failure in ms. Letter: s, w, d as
--          it stands now; n wanted in a newer version, which waits now; l claim lost, nothing
--          was written

local id, now = ARGV[1], now_ms()
local users, replies, writes = {}, {}, batch()

local function fail(user, r, verdict, delay, failure)
  if verdict ~= 'w' then
    r.attempts = r.attempts + 1
    if r.first == '0' then r.first = string.format('%.0f', now) end
  end
  if failure ~= '' then r.failure = failure end
  if verdict == 'd' then
    r.state, r.settled = 'd', string.format('%.0f', now)
  elseif delay > 0 then
    r.state = 'w'
    add(writes, 'ZADD', LATER, string.format('%.0f', now + delay), user)
  else
    r.state = 'w'
    wait_now(writes, user, r)
  end
end

local function settle(user, r, version, verdict, delay, wa_id, failure)
  if not r or r.claim ~= id then return 'l 0 0' end
  r.claim = NONE
  if wa_id ~= '' then r.wa_id = wa_id end
  redis.call('ZREM', LATER, user)
  local letter
  if r.version ~= version then
    letter = 'n'
    wait_now(writes, user, r)
  elseif verdict == 's' then
    r.state, r.settled, r.failure = 's', string.format('%.0f', now), ''
    letter = 's'
  else
    fail(user, r, verdict, delay, failure)
    letter = r.state
  end
  put(writes, user, r)
  return letter .. ' ' .. string.format('%d', r.attempts) .. ' ' .. r.first
end

for i = 2, #ARGV, 6 do users[#users + 1] = ARGV[i] end
local lines = redis.call('HMGET', USERS, unpack(users))
for k, user in ipairs(users) do
  local i = 2 + 6 * (k - 1)
  replies[k] = settle(user, parse(lines[k]), ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5])
end
flush(writes)
return replies
