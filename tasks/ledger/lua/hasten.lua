-- hasten.lua: puts blocks that wait in the queues bulk and reconcile in line with the interactive ones, at the place that
-- their age gives them.
--
-- KEYS     as record.lua, then [9] PERSONS of persons.lua
-- ARGV     users, under any of their names
-- Returns  how many were put there. Who does not wait in such a line stays where they are, as does a retry that is not due.

local users, lines = records_of(ARGV)
local writes, moved, seen = batch(), 0, {}
for k, user in ipairs(users) do
  local r = parse(lines[k])
  if r and r.op == 'b' and r.state == 'w' and r.queue ~= 'i' and r.claim == NONE and not seen[user] then
    seen[user] = true
    local line = WAITING[r.queue .. r.op]
    local place = redis.call('ZSCORE', line, user)
    if place then
      redis.call('ZREM', line, user) -- first, since a Redis that is out of memory lets a script write on that begins so
      r.queue = 'i'
      put(writes, user, r)
      wait_now(writes, user, r, whole(tonumber(place)))
      moved = moved + 1
    end
  end
end
flush(writes)
return moved
