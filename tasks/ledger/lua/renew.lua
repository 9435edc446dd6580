-- renew.lua: keeps some users of a claim for one more call, with a new deadline. Users that
-- are wanted in a newer version by now leave the claim and wait.
--
-- KEYS     as record.lua, then [9] PERSONS of persons.lua, [10] CLAIMS of take_over.lua, and [11] as
--          counts.lua
-- ARGV[1]  ID of the claim
-- ARGV[2]  ms from now until the new deadline
-- ARGV[3]  op that the last call under the claim has, or may have, carried out ("" for none)
-- ARGV[4…] user, version
-- Returns  one letter per user: f kept, n wanted in a newer version, l claim lost, L claim lost
--          where the call may have undone a later one: its user waits for one more call

local id, deadline = ARGV[1], whole(now_ms() + tonumber(ARGV[2]))
local users, letters, writes, kept = {}, {}, batch(), nil
for i = 4, #ARGV, 2 do users[#users + 1] = ARGV[i] end
local records, lines = records_of(users)
for k, user in ipairs(records) do
  local r = parse(lines[k])
  if not r or r.claim ~= id then
    letters[k] = undone(writes, user, r, ARGV[3]) and 'L' or 'l'
  elseif r.version == ARGV[3 + 2 * k] then
    letters[k], kept = 'f', r.op
    if ARGV[3] ~= '' then -- what the last call may have done is not told again
      touched(r)
      put(writes, user, r)
    end
    leave_later(writes, user) -- only so that the first write is one that removes
    put_later(writes, user, deadline)
  else
    letters[k] = 'n'
    r.claim = NONE
    if ARGV[3] ~= '' then touched(r) end
    leave_later(writes, user)
    put(writes, user, r)
    wait_now(writes, user, r)
  end
end
flush(writes)
if kept then redis.call('ZADD', KEYS[10], deadline, kept .. ' ' .. id) end
flush_counts(now_ms())
return table.concat(letters)
