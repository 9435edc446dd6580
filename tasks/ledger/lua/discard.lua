-- discard.lua: a dead user's end is accepted; no task brings it back to the dead letters.
--
-- KEYS     as record.lua, then [9] PERSONS of persons.lua
-- ARGV     user, version
-- Returns  1 when the user was dead at this version, else 0

local users, lines = records_of({ARGV[1]})
local r = parse(lines[1])
if not r or r.version ~= ARGV[2] or r.state ~= 'd' then return 0 end
r.state = 'x'
redis.call('HSET', USERS, users[1], format(r))
return 1
