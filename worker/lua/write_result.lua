-- write_result.lua: writes a task's result, unless the task is gone: what is left of one would keep its ID for ever.
--
-- KEYS[1]  asynq's hash of the task
-- ARGV     fields and values
-- Returns  how many fields are new

if redis.call('HEXISTS', KEYS[1], 'msg') == 0 then return 0 end
return redis.call('HSET', KEYS[1], unpack(ARGV))
