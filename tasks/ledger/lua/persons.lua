-- persons.lua: the record in which the requests of a name stand; behind record.lua and PERSONS in the
-- scripts that are given names.
--
-- A person that is known by several names has one record: that of "+" and the wa_id. PERSONS is
-- a hash: that name, by each other one. A name that has a record of its own is not moved yet, as
-- when an older program has written it: that record counts.

-- records_of returns the names of the records of users, and their lines.
local function records_of(given)
  local users, missing, at = {}, {}, {}
  local lines = redis.call('HMGET', USERS, unpack(given))
  for k, user in ipairs(given) do
    users[k] = user
    if not lines[k] then missing[#missing + 1], at[#at + 1] = user, k end
  end
  if #missing == 0 then return users, lines end
  local moved, places = {}, {}
  for j, name in ipairs(redis.call('HMGET', PERSONS, unpack(missing))) do
    if name then moved[#moved + 1], places[#places + 1] = name, at[j] end
  end
  if #moved == 0 then return users, lines end
  for j, line in ipairs(redis.call('HMGET', USERS, unpack(moved))) do
    users[places[j]], lines[places[j]] = moved[j], line
  end
  return users, lines
end
