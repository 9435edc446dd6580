-- hold.lua: begins, renews or ends a hold on all calls of a phone number ID.
--
-- KEYS[1]  the hold
-- ARGV[1]  whose it is
-- ARGV[2]  ms until it ends by itself, 0 to end it now
-- ARGV[3]  channel to publish on at its end
-- ARGV[4]  the message: the phone number ID
-- Returns  1 when it is, or was, the caller's, 0 when it is another's

local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
elseif owner then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[3], ARGV[4])
end
return 1
