-- Counts calls, frees the place of a probe or trial that has come back, and returns all that is known of a limit.
--
-- KEYS[1]  hash of the limit
-- ARGV[1..3]  since this process asked last: calls served, calls reported, retries among them
-- ARGV[4]  1 if the probe has come back
-- ARGV[5]  1 if the trial has come back
-- ARGV[6]  time to live, seconds
--
-- Returns {now in microseconds, {name, value, ...}}, both as decimal text: they outgrow what some clients read as integers.

local MINUTE = 60 * 1000000
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local function text(n) return string.format('%.0f', n) end

redis.call('HDEL', KEYS[1], '') -- a Redis that is out of memory lets a script write on after a write that needs none
if tonumber(ARGV[2]) > 0 then
  local w = redis.call('HMGET', KEYS[1], 'window', 'calls', 'retries')
  local window, calls, retries = tonumber(w[1] or '0'), tonumber(w[2] or '0'), tonumber(w[3] or '0')
  if now - window >= 2 * MINUTE then
    redis.call('HSET', KEYS[1], 'window', text(now), 'calls', 0, 'retries', 0, 'prev_calls', 0, 'prev_retries', 0)
  elseif now - window >= MINUTE then
    redis.call('HSET', KEYS[1], 'window', text(window + MINUTE), 'calls', 0, 'retries', 0,
      'prev_calls', text(calls), 'prev_retries', text(retries))
  end
  redis.call('HINCRBY', KEYS[1], 'served', ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'calls', ARGV[2])
  redis.call('HINCRBY', KEYS[1], 'retries', ARGV[3])
end
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'probe_until', 0) end
if ARGV[5] == '1' then redis.call('HSET', KEYS[1], 'trial_until', 0) end
redis.call('EXPIRE', KEYS[1], ARGV[6])
return {text(now), redis.call('HGETALL', KEYS[1])}
