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
local calls, renamed = {}, {}

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

local function settle(user, r, version, wa_id, how)
  local letter
  r.claim = NONE
  if wa_id ~= '' and wa_id ~= r.wa_id then
    renamed[#renamed + 1] = {user = user, wa_id = r.wa_id}
    r.wa_id = wa_id
  end
  leave_later(writes, user)
  if r.version ~= version then
    letter = 'n'
    if how.effect ~= '' then touched(r) end
    wait_now(writes, user, r)
  elseif how.verdict == 's' then
    letter = 's'
    r.state, r.settled, r.failure = 's', stamp, ''
    if counted(r) then count_at(r.version, 's', 1) end
    ended_words(r)
  else
    letter = fail(user, r, how)
  end
  put(writes, user, r)
  return letter
end

-- note keeps what the call may have done to a person, for other_names.
local function note(k, user, r, version, wa_id, effect, held)
  if wa_id == '' then wa_id = wa_id_of(user, r) end
  if effect == '' or wa_id == '' then return end
  calls[#calls + 1] = {k = k, user = user, r = r, version = tonumber(version), wa_id = wa_id, effect = effect,
    learns = held and r.wa_id == wa_id and user ~= number_of(wa_id)}
end

-- look_up returns the names of the persons that were called for, the records of those names, and
-- which call each is for. A call learns no name that is known.
local function look_up()
  local known, others, whose, lines = {}, {}, {}, {}
  local wa_ids = {}
  for j, c in ipairs(calls) do wa_ids[j] = c.wa_id end
  for j, names in ipairs(redis.call('HMGET', NAMES, unpack(wa_ids))) do
    local c, number = calls[j], number_of(calls[j].wa_id)
    known[c.wa_id] = names or ''
    if c.user ~= number then pair(others, number, c) end
    for name in string.gmatch(names or '', '%S+') do
      if name == c.user then
        c.learns = false
      elseif name ~= number then
        pair(others, name, c)
      end
    end
  end
  local names = {}
  for j = 1, #others, 2 do names[#names + 1], whose[#whose + 1] = others[j], others[j + 1] end
  for from = 1, #names, 2000 do
    for _, line in ipairs(redis.call('HMGET', USERS, unpack(names, from, math.min(from + 1999, #names)))) do
      lines[#lines + 1] = line
    end
  end
  return known, names, whose, lines
end

-- repeats lets a user wait for one more call who has succeeded under a name that was not known to
-- be this person's, when an older request under another name ended so late that its call may have
-- come after this one.
local function repeats(writes, c, older)
  local r = c.r
  if not c.learns or c.again or r.state ~= 's' or r.op ~= c.effect then return end
  if older.state == 'w' or older.state == 'f' or now - older.settled > FAR then return end
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
  if #calls == 0 then return end
  local writes, known, names, whose, lines = batch(), look_up()
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

local dead = {}
local users, places, hows = {}, {}, {} -- of each user: where its words are, and what it gets
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
local records, lines = records_of(users)
for k, user in ipairs(records) do
  local r, version, wa_id = parse(lines[k]), ARGV[places[k] + 1], ARGV[places[k] + 2]
  local letter
  local held = r and r.claim == id
  if held then
    letter = settle(user, r, version, wa_id, hows[k])
    if letter == 'd' then dead[#dead + 1] = users[k] end -- the name that its dead letter will have
  else
    letter = lost(r, version)
    if undone(writes, user, r, hows[k].effect) then letter = string.upper(letter) end
  end
  note(k, user, r, version, wa_id, hows[k].effect, held)
  if letter == 'l' or letter == 'L' then
    replies[k] = letter .. ' 0 0'
  else
    replies[k] = letter .. ' ' .. r.attempts .. ' ' .. r.first
  end
end
flush(writes)
send('SADD', KEYS[9], dead)
other_names()
flush_counts(now)
return table.concat(replies, '\n')
