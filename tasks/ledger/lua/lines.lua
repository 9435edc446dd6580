-- lines.lua: how a user gets into the lines, and out of them; behind record.lua in the scripts that
-- write requests down.

local wake, looked_at = false, {}

-- joins wakes the lanes when the line that a user joins has been empty until now.
local function joins(line)
  if not looked_at[line] then
    looked_at[line] = true
    if redis.call('ZCARD', line) == 0 then wake = true end
  end
end

-- leaves takes a user out of where it waits, and returns its place if that was in line.
local function leaves(user, old)
  local line = WAITING[old.queue .. old.op]
  local place = redis.call('ZSCORE', line, user)
  if place then redis.call('ZREM', line, user) else redis.call('ZREM', LATER, user) end
  return place
end
