-- Counts calls, frees the place of a probe or trial that has come back, and returns all that is known of a limit.
--
-- KEYS[1]  hash of the limit
-- ARGV[1]  calls served since this process asked last
-- ARGV[2]  what they add to the retry budget, in millionths of a token
-- ARGV[3]  1 if the probe has come back
-- ARGV[4]  1 if the trial has come back
-- ARGV[5]  time to live, seconds
--
-- Returns {now in microseconds, {name, value, ...}}, both as decimal text: they outgrow what some clients read as integers.

local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local function text(n) return string.format('%.0f', n) end

redis.call('HDEL', KEYS[1], '') -- a Redis that is out of memory lets a script write on after a write that needs none
if ARGV[1] ~= '0' then redis.call('HINCRBY', KEYS[1], 'served', ARGV[1]) end
if ARGV[2] ~= '0' then redis.call('HINCRBY', KEYS[1], 'retry_tokens', ARGV[2]) end
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'probe_until', 0) end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'trial_until', 0) end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {text(now), redis.call('HGETALL', KEYS[1])}
