-- tally.lua: counts what waits; the script "backlog", and the tail of claim.lua's answer.
--
-- Returns  users who wait in line by queue (i, b, r), users in LATER, ms until the first of
--          them is due (-1 for none, 0 where the clock was set back: the next claim mends that),
--          the place of the user that waits in line longest, which is a version (0 for none)

local function tally(now)
  local reply = {}
  for k, queue in ipairs(QUEUES) do
    reply[k] = redis.call('ZCARD', WAITING[queue .. 'b']) + redis.call('ZCARD', WAITING[queue .. 'u'])
  end
  local first = redis.call('ZRANGE', LATER, 0, 0, 'WITHSCORES')
  reply[4] = redis.call('ZCARD', LATER)
  reply[5] = first[2] and math.max(0, tonumber(first[2]) - now) or -1
  if reply[5] > FAR then reply[5] = 0 end
  reply[6] = 0
  for _, line in pairs(WAITING) do
    local place = tonumber(redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')[2])
    if place and (reply[6] == 0 or place < reply[6]) then reply[6] = place end
  end
  return reply
end
