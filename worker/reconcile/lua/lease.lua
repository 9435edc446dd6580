-- lease.lua: takes, renews or gives back the right to reconcile one phone number ID.
--
-- KEYS[1]  the lease
-- ARGV[1]  whose it is to be
-- ARGV[2]  ms until it ends by itself, 0 to give it back
-- ARGV[3]  "1" to take it when it is free, "0" to renew what is one's own
-- Returns  1 when it is, or was, the caller's, else 0

local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if not owner and ARGV[3] == '0' then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
