-- settle.lua: writes down what came of a call, for each of its users.
--
-- KEYS     as record.lua, then [9] the set of users who may have a dead letter
-- ARGV[1]  ID of the claim
-- ARGV[2…] segments: verdict, delay in ms, failure (JSON, or ""), effect, n, then n times user,
--          version, wa_id ("" when not told)
--          verdict: s succeeded, r retry, w wait (a retry that uses up no attempt), d dead
--          effect: op that the call has, or may have, carried out ("" for none)
-- Returns  a text with one line per user: letter, attempts, first failure in ms. Letter: s,
--          w, d as it stands now; n wanted in a newer version, which waits now; l claim lost.
--          Under a lost claim nothing is written of this version; but s, d and n are told if
--          they are true of it: a client that repeats the script when a reply got lost must
--          hear what its first try did. N and L are n and l where the call may have come after
--          another one that carried out the opposite: its user waits for one more call.

local id, now = ARGV[1], now_ms()
local stamp = whole(now)
local replies, writes = {}, batch()

local function lost(r, version)
  if not r then return 'l' end
  if tonumber(r.version) > tonumber(version) then return 'n' end
  if r.version == version and (r.state == 's' or r.state == 'd') then return r.state end
  return 'l'
end

-- Retries that are due within one second go into one call: jitter spreads the users of a call
-- that failed, and each of them alone would cost a call.
local function due(at)
  if at - now < 1000 then return at end
  return math.ceil(at / 1000) * 1000
end

local function fail(user, r, how)
  if how.verdict ~= 'w' then
    r.attempts = whole(r.attempts + 1)
    if r.first == '0' then r.first = stamp end
  end
  if how.failure ~= '' then r.failure = '\n' .. how.failure end
  if how.verdict == 'd' then
    r.state, r.settled = 'd', stamp
  elseif how.delay > 0 then
    r.state = 'w'
    put_later(writes, user, whole(due(now + math.min(how.delay, FAR - 1000))))
  else
    r.state = 'w'
    wait_now(writes, user, r)
  end
  return r.state
end

local function settle(user, r, version, wa_id, how)
  local letter
  r.claim = NONE
  if wa_id ~= '' then r.wa_id = wa_id end
  leave_later(writes, user)
  if r.version ~= version then
    letter = 'n'
    wait_now(writes, user, r)
  elseif how.verdict == 's' then
    letter = 's'
    r.state, r.settled, r.failure = 's', stamp, ''
  else
    letter = fail(user, r, how)
  end
  put(writes, user, r)
  return letter
end

local dead = {}
local users, places, hows = {}, {}, {} -- of each user: where its words are, and what it gets
local i = 2
while i <= #ARGV do
  local how = {verdict = ARGV[i], delay = tonumber(ARGV[i + 1]), failure = ARGV[i + 2], effect = ARGV[i + 3]}
  local last = i + 3 * ARGV[i + 4]
  i = i + 5
  while i <= last + 2 do
    local k = #users + 1
    users[k], places[k], hows[k] = ARGV[i], i, how
    i = i + 3
  end
end
local lines = redis.call('HMGET', USERS, unpack(users))
for k, user in ipairs(users) do
  local r, version, wa_id = parse(lines[k]), ARGV[places[k] + 1], ARGV[places[k] + 2]
  local letter
  if r and r.claim == id then
    letter = settle(user, r, version, wa_id, hows[k])
    if letter == 'd' then dead[#dead + 1] = user end
  else
    letter = lost(r, version)
    if undone(writes, user, r, hows[k].effect) then letter = string.upper(letter) end
  end
  if letter == 'l' or letter == 'L' then
    replies[k] = letter .. ' 0 0'
  else
    replies[k] = letter .. ' ' .. r.attempts .. ' ' .. r.first
  end
end
flush(writes)
send('SADD', KEYS[9], dead)
return table.concat(replies, '\n')
