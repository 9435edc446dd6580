-- settle.lua: writes down what came of a call, for each of its users.
--
-- KEYS     as record.lua, then [9] the set of users who may have a dead letter, [10] NAMES of
--          names.lua, [11] PERSONS of persons.lua, and [12] as counts.lua
-- ARGV[1]  ID of the claim
-- ARGV[2…] segments: verdict, delay in ms, failure (JSON, or ""), effect, n, then n times user,
--          version, wa_id ("" when not told)
--          verdict: s succeeded, r retry, w wait (a retry that uses up no attempt), d dead
--          effect: op that the call has, or may have, carried out ("" for none)
-- Returns  a text with one line per user: letter, attempts, first failure in ms. Letter: s,
--          w, d as it stands now; n wanted in a newer version, which waits now; l claim lost.
--          Under a lost claim nothing is written of this version; but s, d and n are told if
--          they are true of it: a client that repeats the script when a reply got lost must
--          hear what its first try did. N and L are n and l where the call may have come after
--          another one that carried out the opposite: its user waits for one more call. S, W and
--          D are s, w and d where that holds for a newer request under another name of the person.
--
-- Of the names of one person, the newest request decides: a call for an older one that may have
-- undone what a newer one did makes the newer one wait for one more call, never the other way
-- round, so the calls come to an end.

local id, now = ARGV[1], now_ms()
local stamp = whole(now)
local replies, writes = {}, batch()
local renamed, finished = {}, {} -- finished: records to be counted, each as often as users have succeeded who share it
-- Of each user: its record's name, whether the claim held it, where its words are in ARGV, and what it gets.
local records, held, places, hows = {}, {}, {}, {}
local asked, persons = {}, {} -- the places of users whose call may have done something, and the wa_ids of these

local function lost(r, version)
  if not r then return 'l' end
  if tonumber(r.version) > tonumber(version) then return 'n' end
  if r.version == version and (r.state == 's' or r.state == 'd') then return r.state end
  return 'l'
end

-- Retries that are due within one second go into one call: jitter spreads the users of a call
-- that failed, and each of them alone would cost a call.
local function due(at)
  if at - now < 1000 then return at end
  return math.ceil(at / 1000) * 1000
end

local function fail(user, r, how)
  if how.verdict ~= 'w' then
    r.attempts = whole(r.attempts + 1)
    if r.first == '0' then r.first = stamp end
  end
  if how.failure ~= '' then r.failure = '\n' .. how.failure end
  if how.effect ~= '' then touched(r) end
  if how.verdict == 'd' then
    r.state, r.settled = 'd', stamp
    if counted(r) then count_at(r.version, 'd', 1, string.match(how.failure, '^{"code":(%d+)')) end
    ended_words(r)
  elseif how.delay > 0 then
    r.state = 'w'
    put_later(writes, user, whole(due(now + math.min(how.delay, FAR - 1000))))
  else
    r.state = 'w'
    wait_now(writes, user, r)
  end
  return r.state
end

-- rename takes note that a user has another wa_id than was known.
local function rename(user, r, wa_id)
  if r.wa_id ~= NONE and wa_id ~= '' and wa_id ~= r.wa_id then renamed[#renamed + 1] = {user = user, wa_id = r.wa_id} end
end

local function settle(user, r, version, wa_id, how)
  local letter
  r.claim = NONE
  rename(user, r, wa_id)
  if wa_id ~= '' then r.wa_id = wa_id end
  leave_later(writes, user)
  if r.version ~= version then
    letter = 'n'
    if how.effect ~= '' then touched(r) end
    wait_now(writes, user, r)
  else
    letter = fail(user, r, how)
  end
  put(writes, user, r)
  return letter
end

-- succeed settles a user that has succeeded. Others may share the record (see read), who all have: what their records begin and
-- end with is the same.
local function succeed(user, r, wa_id)
  if not r.front then
    r.done = 0
    if counted(r) then finished[#finished + 1] = r end
    r.state, r.settled, r.failure = 's', stamp, ''
    ended_words(r)
    r.front = r.op .. ' s ' .. r.queue .. ' ' .. r.attempts .. ' ' .. r.version .. ' ' .. NONE .. ' '
    r.back = ' ' .. stamp .. ' ' .. r.first .. r.more
  end
  rename(user, r, wa_id)
  r.done = r.done + 1
  leave_later(writes, user)
  pair(writes.records, user, r.front .. (wa_id ~= '' and wa_id or r.wa_id) .. r.back)
  return 's'
end

-- look_up returns those of the calls whose person has other names, or may get one, the other names of these persons, the records
-- of those names, which call each is for, and the names that are known by wa_id. A call learns no name that is known.
local function look_up()
  local calls, others, whose, lines, known = {}, {}, {}, {}, {}
  for j, names in ipairs(redis.call('HMGET', NAMES, unpack(persons))) do
    local k, wa_id, number = asked[j], persons[j], number_of(persons[j])
    local user = records[k]
    if names or user ~= number then
      local c = {k = k, user = user, version = tonumber(ARGV[places[k] + 1]), wa_id = wa_id, effect = hows[k].effect,
        learns = held[k] and user ~= number}
      calls[#calls + 1] = c
      known[wa_id] = names or ''
      if user ~= number then others[#others + 1], whose[#whose + 1] = number, c end
      for name in string.gmatch(known[wa_id], '%S+') do
        if name == user then
          c.learns = false
        elseif name ~= number then
          others[#others + 1], whose[#whose + 1] = name, c
        end
      end
    end
  end
  for from = 1, #others, 2000 do
    for _, line in ipairs(redis.call('HMGET', USERS, unpack(others, from, math.min(from + 1999, #others)))) do
      lines[#lines + 1] = line
    end
  end
  return calls, others, whose, lines, known
end

-- repeats lets a user wait for one more call who has succeeded under a name that was not known to
-- be this person's, when an older request under another name ended so late that its call may have
-- come after this one.
local function repeats(writes, c, older)
  if not c.learns or c.again or older.state == 'w' or older.state == 'f' or now - older.settled > FAR then return end
  local r = parse(redis.call('HGET', USERS, c.user)) -- as it was settled
  if r.state ~= 's' or r.op ~= c.effect then return end
  c.again, r.state, r.settled = true, 'w', '0'
  if counted(r) then count_at(r.version, 's', -1) end
  touched(r)
  wait_now(writes, c.user, r)
  put(writes, c.user, r)
  replies[c.k] = 'w ' .. r.attempts .. ' ' .. r.first
end

-- other_names sees to the other names of the persons that were called for.
local function other_names()
  for _, old in ipairs(renamed) do drop_name(old.user, old.wa_id) end
  if #asked == 0 then return end
  local writes, calls, names, whose, lines, known = batch(), look_up()
  for j, name in ipairs(names) do
    local c, r = whose[j], parse(lines[j])
    if r and r.op ~= c.effect and (r.wa_id == NONE or r.wa_id == c.wa_id) then
      if tonumber(r.version) < c.version then
        repeats(writes, c, r)
      elseif undone(writes, name, r, c.effect) and not c.again then
        replies[c.k] = string.upper(string.sub(replies[c.k], 1, 1)) .. string.sub(replies[c.k], 2)
      end
    end
  end
  for _, c in ipairs(calls) do
    if c.learns then known[c.wa_id] = learn_name(c.user, c.wa_id, known[c.wa_id]) end
  end
  flush(writes)
end

local users, dead, lines = {}, {}, nil
local i = 2
while i <= #ARGV do
  local how = {verdict = ARGV[i], delay = tonumber(ARGV[i + 1]), failure = ARGV[i + 2], effect = ARGV[i + 3]}
  local last = i + 3 * ARGV[i + 4]
  i = i + 5
  while i <= last + 2 do
    local k = #users + 1
    users[k], places[k], hows[k] = ARGV[i], i, how
    i = i + 3
  end
end
records, lines = records_of(users)
for k, user in ipairs(records) do
  local how, version, wa_id = hows[k], ARGV[places[k] + 1], ARGV[places[k] + 2]
  local done = how.verdict == 's'
  local r, letter = (done and read or parse)(lines[k]), nil
  held[k] = r and r.claim == id
  if held[k] and done and r.version == version then
    letter = succeed(user, r, wa_id)
  else
    if done then r = parse(lines[k]) end -- others may share what was read
    if held[k] then
      letter = settle(user, r, version, wa_id, how)
      if letter == 'd' then dead[#dead + 1] = users[k] end -- the name that its dead letter will have
    else
      letter = lost(r, version)
      if undone(writes, user, r, how.effect) then letter = string.upper(letter) end
    end
  end
  if how.effect ~= '' then
    local person = wa_id ~= '' and wa_id or wa_id_of(user, r)
    if person ~= '' then asked[#asked + 1], persons[#persons + 1] = k, person end
  end
  if letter == 'l' or letter == 'L' then
    replies[k] = letter .. ' 0 0'
  else
    replies[k] = letter .. ' ' .. r.attempts .. ' ' .. r.first
  end
end
flush(writes)
send('SADD', KEYS[9], dead)
other_names()
for _, r in ipairs(finished) do count_at(r.version, 's', r.done) end
flush_counts(now)
return table.concat(replies, '\n')
