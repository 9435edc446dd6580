-- raise.lua: sets a number unless it is greater already.
--
-- KEYS[1]  the number
-- ARGV[1]  what it is to be at the least
-- Returns  1 when it was raised, else 0

local has = tonumber(redis.call('GET', KEYS[1]) or '')
if has and has >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
