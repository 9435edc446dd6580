-- names.lua: the names of a person, for the scripts "settle" and "forget", which define NAMES.
--
-- The API knows a person by one wa_id, and takes several names for it: in Brazil a number with and
-- without its ninth digit, or a business-scoped user ID. One name of the person is "+" and the
-- wa_id. The others stand in the hash NAMES, by wa_id, as words: those that were learnt last, MOST
-- at the most. A name leaves it with its record, or when the API tells another wa_id for it.

local MOST = 4

local function number_of(wa_id) return '+' .. wa_id end

-- wa_id_of returns the wa_id of a user: as it was told, or else as it was dialled.
local function wa_id_of(user, r)
  if r and r.wa_id ~= NONE then return r.wa_id end
  return string.match(user, '^%+(%d+)$') or ''
end

local function learn_name(user, wa_id, names)
  local words = {}
  for name in string.gmatch(names, '%S+') do words[#words + 1] = name end
  words[#words + 1] = user
  names = table.concat(words, ' ', math.max(1, #words - MOST + 1))
  redis.call('HSET', NAMES, wa_id, names)
  return names
end

local function drop_name(user, wa_id)
  if wa_id == NONE or user == number_of(wa_id) then return end
  local left = {}
  for name in string.gmatch(redis.call('HGET', NAMES, wa_id) or '', '%S+') do
    if name ~= user then left[#left + 1] = name end
  end
  if #left > 0 then
    redis.call('HSET', NAMES, wa_id, table.concat(left, ' '))
  else
    redis.call('HDEL', NAMES, wa_id)
  end
end
