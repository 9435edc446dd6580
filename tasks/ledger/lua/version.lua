-- version.lua: the next version of one phone number ID.
--
-- KEYS[1]  the last version that was given out
-- Returns  max(last + 1, TIME in microseconds): rises always, and a lost counter or a clock
--          that was set back cannot make it run backwards by more than the other corrects.

local t = redis.call('TIME')
local version = t[1] * 1000000 + t[2]
local last = tonumber(redis.call('GET', KEYS[1]) or '') or 0
if version <= last then version = last + 1 end
redis.call('SET', KEYS[1], string.format('%.0f', version))
return version
