-- heard.lua: keeps when users wrote last. The latest time wins, so events may come in any order, and again.
--
-- KEYS[1]  sorted set: persons, by when they wrote last, in ms
-- KEYS[2]  the set of users who may have a dead letter
-- KEYS[3]  hash: the names that the API has told for a wa_id, as names.lua of the ledger keeps them
-- ARGV[1]  ms for which a message has an effect; older ones are not taken
-- ARGV[2]  ms for which a time is kept, which is longer
-- ARGV[3]  how many persons at the most; those who wrote last stay
-- ARGV[4]  ms that a time may lie ahead, by the difference of clocks
-- ARGV[5…] events: time in ms, "1" to keep the time or "0", wa_id ("" for none), n, then n times the form that is
--          kept and the number of names that follow it, and these names, which may have a dead letter
-- Returns  one text an event: "o" too old, "f" too far ahead, "k" taken; behind "k" and a blank each, the
--          names that may have a dead letter.

local HEARD, DEAD, NAMES = KEYS[1], KEYS[2], KEYS[3]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local window, keep, most, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

-- First, since a Redis that is out of memory lets a script write on that begins by removing.
redis.call('ZREMRANGEBYSCORE', HEARD, '-inf', '(' .. string.format('%.0f', now - keep))

local function note(form, at)
  local before = redis.call('ZSCORE', HEARD, form)
  if not before or tonumber(before) < at then redis.call('ZADD', HEARD, at, form) end
end

local function known(wa_id, names)
  if wa_id == '' then return end
  for name in string.gmatch(redis.call('HGET', NAMES, wa_id) or '', '%S+') do names[#names + 1] = name end
end

local replies, i = {}, 5
while i <= #ARGV do
  local at, keeps, wa_id, forms, names = tonumber(ARGV[i]), ARGV[i + 1] == '1', ARGV[i + 2], {}, {}
  local n = tonumber(ARGV[i + 3])
  i = i + 4
  for _ = 1, n do
    forms[#forms + 1] = ARGV[i]
    local m = tonumber(ARGV[i + 1])
    for k = 1, m do names[#names + 1] = ARGV[i + 1 + k] end
    i = i + 2 + m
  end
  local reply = 'k'
  if at < now - window then
    reply = 'o'
  elseif at > now + ahead then
    reply = 'f'
  else
    if keeps then
      for _, form in ipairs(forms) do note(form, at) end
    end
    known(wa_id, names)
    for k, yes in ipairs(redis.call('SMISMEMBER', DEAD, unpack(names))) do
      if yes == 1 then reply = reply .. ' ' .. names[k] end
    end
  end
  replies[#replies + 1] = reply
end

local over = redis.call('ZCARD', HEARD) - most
if over > 0 then redis.call('ZREMRANGEBYRANK', HEARD, 0, over - 1) end
redis.call('PEXPIRE', HEARD, keep + ahead)
return replies
