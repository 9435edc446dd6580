-- forget.lua: drops the records of unblocked users with no open request.
--
-- KEYS     as record.lua, then [9] NAMES of names.lua
-- ARGV     user, version
-- Returns  how many were dropped: those unblocked at this very version, under no claim

local users, gone = {}, {}
for i = 1, #ARGV, 2 do users[#users + 1] = ARGV[i] end
local lines = redis.call('HMGET', USERS, unpack(users))
for k, user in ipairs(users) do
  local r = parse(lines[k])
  if r and r.op == 'u' and r.state == 's' and r.version == ARGV[2 * k] and r.claim == NONE and r.more == '' then
    gone[#gone + 1] = user
    drop_name(user, r.wa_id)
  end
end
if #gone > 0 then redis.call('HDEL', USERS, unpack(gone)) end
return #gone
