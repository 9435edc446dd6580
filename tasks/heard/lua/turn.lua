-- turn.lua: gives out the turns of users to be asked for again: each has one at a time, and one a while.
--
-- KEYS[1]  sorted set: "t" and the user while a turn is taken, "d" and the user after it, by when that ends, in ms
-- ARGV[1]  "take", "done" or "drop"
-- ARGV[2]  ms until a turn that was taken ends by itself; for "done", until the user has another turn
-- ARGV[3…] users
-- Returns  of "take", for each user: 0 the turn is the caller's, -1 it is another's at this moment, else
--          ms until the user has another turn. Else an empty list.

local TURNS, what = KEYS[1], ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ends = string.format('%.0f', now + ARGV[2])

redis.call('ZREMRANGEBYSCORE', TURNS, '-inf', now)

local function take(user)
  local done = redis.call('ZSCORE', TURNS, 'd' .. user)
  local taken = redis.call('ZSCORE', TURNS, 't' .. user)
  if taken and tonumber(taken) <= now + ARGV[2] then return -1 end -- one that ends later was taken before Redis's clock was set back
  redis.call('ZADD', TURNS, ends, 't' .. user)
  if not done then return 0 end
  return math.max(1, tonumber(done) - now)
end

local replies = {}
for k = 3, #ARGV do
  if what == 'take' then
    replies[#replies + 1] = take(ARGV[k])
  else
    redis.call('ZREM', TURNS, 't' .. ARGV[k])
    if what == 'done' then redis.call('ZADD', TURNS, ends, 'd' .. ARGV[k]) end
  end
end
redis.call('PEXPIRE', TURNS, 120000)
return replies
