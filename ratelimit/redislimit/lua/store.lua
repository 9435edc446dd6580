-- Stores a state that was computed from what load.lua returned, unless another process was faster.
--
-- KEYS[1]  hash of the limit
-- ARGV[1]  version that the new state was computed from; 0 when there was none
-- ARGV[2]  tokens, in millionths, to restart the bucket with; -1 to leave it
-- ARGV[3]  time to live, seconds
-- ARGV[4..]  names and values
--
-- Returns 1 when stored, 0 when the version has moved on.

if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], '') -- a Redis that is out of memory lets a script write on after a write that needs none
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('HINCRBY', KEYS[1], 'version', 1)
if ARGV[2] ~= '-1' then
  local t = redis.call('TIME')
  local now = string.format('%.0f', tonumber(t[1]) * 1000000 + tonumber(t[2]))
  redis.call('HSET', KEYS[1], 'tokens', ARGV[2], 'at', now, 'probe_until', 0)
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
