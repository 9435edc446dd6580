-- move_ends.lua: moves the entry of a phone number ID in the index of those that have timed blocks, if it
-- is where it is expected to be; an entry that a producer moved meanwhile stays.
--
-- KEYS[1]  the index: sorted set of phone number IDs, by when their first timed block ends, in ms
-- ARGV[1]  the phone number ID
-- ARGV[2]  ms that it is expected to have at the most
-- ARGV[3]  ms that it gets, 0 to remove it
-- Returns  1 when it was moved, else 0

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
return 1
