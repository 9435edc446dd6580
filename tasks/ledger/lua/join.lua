-- join.lua: learns that names are those of one person, and makes one record of theirs: the newest
-- request decides, and an older one that was pending ends as superseded.
--
-- KEYS     as record.lua, then [9] NAMES of names.lua, [10] PERSONS of persons.lua, [11] SEEN: sorted set of
--          the names in PERSONS, by when they were told last, in ms, [12] ends: sorted set of the users with a
--          timed block, by when it ends, [13] TAKEN of take_over.lua, and [14] as counts.lua
-- ARGV[1]  channel to publish on when users begin to wait in a line where none did
-- ARGV[2]  the message: the phone number ID
-- ARGV[3]  ms that a name is kept after it was told last
-- ARGV[4]  how many names are kept; those of persons with a record stay in any case
-- ARGV[5…] name, wa_id, when that was told (ms)
-- Returns  for each name: that of the record of another person that it was known as until now, else ""
--
-- What is told of a name later counts, in whatever order it comes. A call that is out for one of
-- two records when they become one keeps holding the person. Where calls are out for both, neither
-- counts: which came last is not known, and one more call follows after the later deadline.

local SEEN, ENDS, TAKEN = KEYS[11], KEYS[12], KEYS[13]
local TRIM = 50 -- names that one script drops at most
local now = now_ms()

-- take_out takes a record's user out of where it waits, or is held, and returns its place in line or its
-- time in LATER.
local function take_out(user, r)
  if r.claim == NONE and r.state ~= 'w' then return nil, nil end
  if r.claim == NONE then
    local line = WAITING[r.queue .. r.op]
    local place = redis.call('ZSCORE', line, user)
    if place then
      redis.call('ZREM', line, user)
      return place, nil
    end
  end
  local at = redis.call('ZSCORE', LATER, user) or whole(now)
  redis.call('ZREM', LATER, user)
  return nil, at
end

local function version_in(e) return tonumber(string.match(e, '^[bu],%l,[ibr],%d+,(%d+),')) or 0 end

-- keep_history gives the newer record's request what the older one's would come back by.
local function keep_history(r, w, older, wo)
  if not w then return end
  local pending = r.state == 'w' or r.state == 'f'
  local list = beneath(w.stack)
  list[#list + 1] = entry(older, wo)
  for _, e in ipairs(beneath(wo and wo.stack or NONE)) do list[#list + 1] = e end
  table.sort(list, function(a, b) return version_in(a) > version_in(b) end)
  local base
  for _, e in ipairs(list) do
    if version_in(e) < tonumber(r.version) and string.sub(e, 3, 3) == 's' then
      base = base or string.sub(e, 1, 1)
    end
  end
  while #list > STACK do table.remove(list, #list - 1) end
  w.base = base or (w.base ~= NONE and w.base) or wo and wo.base or NONE
  w.stack = pending and table.concat(list, ';') or NONE
  if pending and older.state ~= 's' and (older.claim ~= NONE or not wo or wo.flags ~= NONE) then w.flags = 't' end
  set_words(r, w)
end

-- again lets a request that has ended wait for one more call.
local function again(r)
  if counted(r) then
    local code = r.state == 'd' and string.match(r.failure, '^\n{"code":(%d+)') or nil
    count_at(r.version, r.state, -1, code)
  end
  r.state, r.settled = 'w', '0'
  touched(r)
end

-- after reports whether a call for the older record, or for what that has displaced, may have undone the newer one's.
local function after(newer, older, wo)
  if older.state == 's' then return older.op ~= newer.op and older.settled + FAR > tonumber(newer.settled) end
  if not wo or wo.flags ~= NONE then return true end
  return older.op ~= newer.op and older.attempts ~= '0' or wo.base ~= NONE and wo.base ~= newer.op
end

-- keep_out keeps a person out of calls of either operation until a time.
local function keep_out(person, at)
  redis.call('ZADD', TAKEN, at, 'b ' .. person, at, 'u ' .. person)
  if redis.call('PTTL', TAKEN) < at - now then redis.call('PEXPIRE', TAKEN, whole(at - now)) end
end

-- unite makes one record of a person's two, the newer first, and returns when it may be claimed from, or its place in line.
local function unite(person, r, place, at, older, older_at)
  local w, wo = words(r), words(older)
  if (older.state == 'w' or older.state == 'f') and counted(older) then count_at(older.version, 'n', 1) end
  keep_history(r, w, older, wo)
  if r.claim ~= NONE and older.claim ~= NONE then
    if string.sub(r.claim, 1, 1) ~= REVOKED then r.claim = REVOKED .. r.claim end
    touched(r)
    return nil, tonumber(at) > tonumber(older_at) and at or older_at
  end
  if r.claim ~= NONE then return nil, at end
  if older.claim ~= NONE then
    -- What has ended waits for that call as well, and for one more: a claim has to keep newer requests back.
    if r.state == 's' or r.state == 'd' then again(r) end
    if r.state ~= 'w' then -- discarded: the call's claim is lost, and what is asked for next waits for its deadline
      keep_out(person, older_at)
      return nil, nil
    end
    r.claim = older.claim
    return nil, older_at
  end
  if r.state == 's' and after(r, older, wo) then
    again(r)
    return r.version, nil
  end
  return place, at
end

local function readable(r) return r and (r.more == '' or string.sub(r.more, 1, 3) == ' 2 ') end

-- keep_taken keeps the person back as the name was, while a call may be out whose claim was taken over.
local function keep_taken(name, person)
  for _, op in ipairs({'b ', 'u '}) do
    local at = redis.call('ZSCORE', TAKEN, op .. name)
    local known = at and tonumber(redis.call('ZSCORE', TAKEN, op .. person) or '0')
    if at and tonumber(at) > known then redis.call('ZADD', TAKEN, at, op .. person) end
  end
end

-- merge moves the record of a name into its person's. It reports false where one of them can't be read.
local function merge(name, person)
  local lines = redis.call('HMGET', USERS, name, person)
  if not lines[1] then return true end
  local r, other = parse(lines[1]), parse(lines[2])
  if not readable(r) or lines[2] and not readable(other) then return false end
  local place, at = take_out(name, r)
  redis.call('HDEL', USERS, name)
  redis.call('ZREM', ENDS, name)
  keep_taken(name, person)
  if other then
    local other_place, other_at = take_out(person, other)
    redis.call('ZREM', ENDS, person)
    if tonumber(other.version) >= tonumber(r.version) then
      place, at = unite(person, other, other_place, other_at, r, at)
      r = other
    else
      place, at = unite(person, r, place, at, other, other_at)
    end
  end
  r.wa_id = string.sub(person, 2)
  local writes, w = batch(), words(r)
  put(writes, person, r)
  if place then
    joins(WAITING[r.queue .. r.op])
    wait_now(writes, person, r, place)
  elseif at then
    put_later(writes, person, at)
  end
  flush(writes)
  if w and w.ends ~= '0' and r.op == 'b' then redis.call('ZADD', ENDS, w.ends, person) end
  return true
end

local function point(name, person)
  redis.call('HSET', PERSONS, name, person)
  learn_name(name, string.sub(person, 2), redis.call('HGET', NAMES, string.sub(person, 2)) or '')
end

-- learn takes in that a name is the person's with a wa_id, and returns the name of the person that it was until now.
local function learn(name, wa_id, at)
  local number = number_of(wa_id)
  local person = redis.call('HGET', PERSONS, number) or number
  if name == person or name == number then return '' end
  local known, seen = redis.call('HGET', PERSONS, name), tonumber(redis.call('ZSCORE', SEEN, name) or '0')
  if known and known ~= person and at < seen then return '' end
  if not merge(name, person) then return '' end
  redis.call('ZADD', SEEN, math.max(at, seen), name)
  if known == person then return '' end
  if known then drop_name(name, string.sub(known, 2)) end
  local own = string.match(name, '^%+(%d+)$')
  local others = own and redis.call('HGET', NAMES, own) -- whose person this name was until now
  if others then
    for other in string.gmatch(others, '%S+') do
      if redis.call('HGET', PERSONS, other) == name then
        drop_name(other, own)
        point(other, person)
      end
    end
  end
  point(name, person)
  return known or ''
end

-- trim drops the names that were not told for long, and the oldest of too many.
local function trim()
  local over = redis.call('ZCARD', SEEN) - tonumber(ARGV[4])
  local old = redis.call('ZRANGEBYSCORE', SEEN, '-inf', whole(now - ARGV[3]), 'LIMIT', 0, TRIM)
  if over > #old then old = redis.call('ZRANGE', SEEN, 0, math.min(over, TRIM) - 1) end
  for _, name in ipairs(old) do
    local person = redis.call('HGET', PERSONS, name)
    if person and redis.call('HEXISTS', USERS, person) == 1 then
      redis.call('ZADD', SEEN, now, name) -- for as long as the record is there
    else
      redis.call('ZREM', SEEN, name)
      redis.call('HDEL', PERSONS, name)
      if person then drop_name(name, string.sub(person, 2)) end
    end
  end
end

local was = {}
trim() -- first, since it removes: see batch in record.lua
for i = 5, #ARGV, 3 do
  was[#was + 1] = learn(ARGV[i], ARGV[i + 1], math.min(tonumber(ARGV[i + 2]), now))
end
flush_counts(now)
if wake then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return was
