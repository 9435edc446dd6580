-- ends.lua: ends timed blocks whose time has come. A block that is still the user's last request
-- becomes an unblock, at the version behind its own, which no other request has: whatever was
-- accepted after the block wins over its end. A block of which no call can have been carried out just
-- ends, since there is nothing to undo.
--
-- KEYS     as record.lua, then [9] ends: sorted set of the users with a timed block, by when it ends,
--          in ms, and [10] as counts.lua
-- ARGV[1]  channel to publish on when users begin to wait in a line where none did
-- ARGV[2]  the message: the phone number ID
-- ARGV[3]  how many users at the most, up to 1,000; 0 to look alone
-- Returns  how many left the set, ms since 1970 of the next end (-1 for none), then one text with a
--          line for each user whose dead letter ended with the block

local now = now_ms()
local ENDS = KEYS[9]
local due = {}
if tonumber(ARGV[3]) > 0 then
  due = redis.call('ZRANGEBYSCORE', ENDS, '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[3])
end
local users, scores, dead = {}, {}, {}
for i = 1, #due, 2 do users[#users + 1], scores[#scores + 1] = due[i], due[i + 1] end

local function finish(writes, user, r, w)
  local pending = r.state == 'w' or r.state == 'f'
  local called = r.state == 's' or r.claim ~= NONE or w.base == 'b' or w.flags ~= NONE
  -- No call follows that would take the dead letter away, be it of an older request.
  if r.state == 'd' or not called and string.find(';' .. w.stack, ';b,d,', 1, true) then dead[#dead + 1] = user end
  -- What was in flight went out; what was not is withdrawn.
  if pending then count_at(r.version, r.state == 'f' and 'n' or 'c', 1) end
  local new = {op = 'u', state = 'w', queue = 'b', attempts = '0', version = whole(tonumber(r.version) + 1),
    claim = r.claim, wa_id = r.wa_id, settled = '0', first = '0', more = '', failure = ''}
  set_words(new, {text = ENDED .. w.text, ends = '0', base = r.state == 's' and 'b' or w.base, flags = w.flags, stack = NONE})
  if r.claim == NONE then -- else the end of the call that holds it puts it in line
    if r.state == 'w' then leaves(user, r) end
    if called then
      joins(WAITING['bu'])
      wait_now(writes, user, new)
    else
      new.state, new.settled = 's', whole(now) -- no call, so there are no flags
    end
  end
  put(writes, user, new)
end

if #users > 0 then
  redis.call('ZREM', ENDS, unpack(users))
  local lines, writes = redis.call('HMGET', USERS, unpack(users)), batch()
  for k, user in ipairs(users) do
    local r = parse(lines[k])
    local w = r and counted(r) and words(r)
    if w and r.op == 'b' and r.state ~= 'x' and tonumber(w.ends) == tonumber(scores[k]) then
      finish(writes, user, r, w)
    end
  end
  flush(writes)
  flush_counts(now)
  if wake then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
end
local first = redis.call('ZRANGE', ENDS, 0, 0, 'WITHSCORES')
return {#users, first[2] and tonumber(first[2]) or -1, table.concat(dead, '\n')}
