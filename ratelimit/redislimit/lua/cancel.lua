-- Returns what a bucket gave for a call that is not made.
--
-- KEYS[1]  hash of the limit
-- ARGV[1]  1 if it was the probe
-- ARGV[2]  1 if it was a trial
-- ARGV[3]  1 if a step was due with it
-- ARGV[4]  1 if a token of the retry budget came with it
--
-- Returns 1, or 0 when the limit is gone.

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[1], '') -- a Redis that is out of memory lets a script write on after a write that needs none
redis.call('HINCRBY', KEYS[1], 'taken', -1)
if ARGV[1] == '1' then
  redis.call('HSET', KEYS[1], 'probe_until', 0)
else
  redis.call('HINCRBY', KEYS[1], 'tokens', 1000000)
end
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'trial_until', 0) end
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'due_at', 0) end
if ARGV[4] == '1' then redis.call('HINCRBY', KEYS[1], 'retry_tokens', 1000000) end
return 1
