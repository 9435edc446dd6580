-- beat.lua: refreshes a worker's fields of a hash.
--
-- The first write is one that frees memory: Redis lets a script that has begun to write go on though it is full.
--
-- KEYS[1]  the hash
-- ARGV[1]  in how many ms the hash expires, if it is not refreshed
-- ARGV[2]  how many of the next words are fields to remove; then come pairs of field and value to set
-- Returns  1, or 0 where nothing is in the hash

local gone = tonumber(ARGV[2])
redis.call('HDEL', KEYS[1], '')
for from = 3, gone + 2, 1000 do
  redis.call('HDEL', KEYS[1], unpack(ARGV, from, math.min(from + 999, gone + 2)))
end
for from = gone + 3, #ARGV, 1000 do -- an even number keeps pairs together
  redis.call('HSET', KEYS[1], unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
