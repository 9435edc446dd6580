-- adopt.lua: takes in users that another program has blocked, as if a request had done it.
--
-- KEYS     as record.lua
-- ARGV[1]  version to write down
-- ARGV[2…] user, version that the user's record has ("0" for no record), wa_id ("" when unknown)
-- Returns  how many were taken in: those whose record is still as it was, settled, under no claim

local version, now = ARGV[1], whole(now_ms())
local users, writes, adopted = {}, batch(), 0
for i = 2, #ARGV, 3 do users[#users + 1] = ARGV[i] end
local lines = redis.call('HMGET', USERS, unpack(users))
for k, user in ipairs(users) do
  local r, seen, wa_id = parse(lines[k]), ARGV[3 * k], ARGV[3 * k + 1]
  local still = not r and seen == '0'
  if r then
    still = r.version == seen and r.claim == NONE and (r.state == 's' or r.state == 'd' or r.state == 'x')
  end
  if still then
    local kept = r and r.more or ''
    if string.sub(kept, 1, 3) == ' 2 ' then kept = '' end -- of a request that is replaced
    if wa_id == '' then wa_id = r and r.wa_id or NONE end
    put(writes, user, {op = 'b', state = 's', queue = 'r', attempts = '0', version = version,
      claim = NONE, wa_id = wa_id, settled = now, first = '0', more = kept, failure = ''})
    adopted = adopted + 1
  end
end
flush(writes)
return adopted
