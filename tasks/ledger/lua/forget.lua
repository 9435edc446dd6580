-- forget.lua: drops the records of unblocked users with no open request.
--
-- KEYS     as record.lua, then [9] NAMES of names.lua, and [10] as plan.lua: users with a request
--          that is put off keep their records, by which it is ordered when it is due
-- ARGV     user, version
-- Returns  how many were dropped: those unblocked at this very version, under no claim

local users, gone = {}, {}
for i = 1, #ARGV, 2 do users[#users + 1] = ARGV[i] end
local lines, planned = redis.call('HMGET', USERS, unpack(users)), redis.call('HMGET', KEYS[10], unpack(users))

-- planned_as reports whether a request is put off under another name of the person.
local function planned_as(user)
  local wa_id = string.match(user, '^%+(%d+)$')
  local names = wa_id and redis.call('HGET', NAMES, wa_id)
  for name in string.gmatch(names or '', '%S+') do
    if redis.call('HEXISTS', KEYS[10], name) == 1 then return true end
  end
  return false
end

for k, user in ipairs(users) do
  local r = parse(lines[k])
  if r and r.op == 'u' and r.state == 's' and r.version == ARGV[2 * k] and r.claim == NONE and
      not planned[k] and not planned_as(user) and (r.more == '' or string.sub(r.more, 1, 3) == ' 2 ') then
    gone[#gone + 1] = user
    drop_name(user, r.wa_id)
  end
end
if #gone > 0 then redis.call('HDEL', USERS, unpack(gone)) end
return #gone
