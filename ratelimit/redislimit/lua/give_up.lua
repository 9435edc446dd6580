-- Frees the place of the probe that a dead worker holds.
--
-- KEYS[1]  hash of the limit
-- ARGV[1]  number of that worker
--
-- Returns 1, or 0 when it holds none.

if (redis.call('HGET', KEYS[1], 'probe_by') or '0') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'probe_by') -- needs no memory, and lets the script write on where there is none
redis.call('HSET', KEYS[1], 'probe_until', 0)
return 1
