-- plan.lua: what is planned for users: requests that are put off, and not marked yet.
--
-- KEYS[1]  planned: hash, by user: "version op due" of each, with ";" between them
-- ARGV[1]  "add" or "drop"
-- ARGV[2]  version
-- ARGV[3]  op, b or u
-- ARGV[4]  when it is due, in ms
-- ARGV[5…] users
-- Returns  how many users have it

local MOST = 8                -- of one user
local STALE = 30 * 86400000 -- ms after they were due: their tasks were deleted
local t = redis.call('TIME')
local old = t[1] * 1000 - STALE
local users = {unpack(ARGV, 5)}
local lines, writes, gone, n = redis.call('HMGET', KEYS[1], unpack(users)), {}, {}, 0
for k, user in ipairs(users) do
  local kept = {}
  for version, op, due in string.gmatch(lines[k] or '', '(%d+) ([bu]) (%d+)') do
    if version ~= ARGV[2] and tonumber(due) > old then kept[#kept + 1] = version .. ' ' .. op .. ' ' .. due end
  end
  if ARGV[1] == 'add' then
    if #kept >= MOST then table.remove(kept, 1) end
    kept[#kept + 1] = ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
    n = n + 1
  end
  if #kept > 0 then
    writes[#writes + 1], writes[#writes + 2] = user, table.concat(kept, ';')
  else
    gone[#gone + 1] = user
  end
end
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
if #writes > 0 then redis.call('HSET', KEYS[1], unpack(writes)) end
return n
