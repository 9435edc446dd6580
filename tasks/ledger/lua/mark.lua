-- mark.lua: writes down what is wanted, if newer than what the ledger holds, and tells where
-- each user stands. Marking again changes nothing, so it is also how a task looks.
--
-- KEYS     as record.lua, then [9] the last version that was given out, [10] ends: sorted
--          set of the users with a timed block, by when it ends, [11] PERSONS of persons.lua, [12]
--          jobs: hash, what was asked for, by version, and [13] as counts.lua
-- ARGV[1]  channel to publish on when users begin to wait in a line where none did
-- ARGV[2]  the message: the phone number ID
-- ARGV[3…] segments: op, queue, version, text ("" for a request whose job is not counted), when the
--          block ends (ms, 0 for never), which part of the job the users are (all of it; 0 for some
--          of a part), what the job's record begins with ("" for not compared), n, then n users
-- Returns  one letter per user, in the order given: n wanted in a newer version, c the job was
--          canceled before the user's request went out, else the state at this version: w waiting,
--          f in flight, s succeeded, d dead, x discarded

local RANK = {i = 1, b = 2, r = 3}
local HOUR = 3600000000 -- in µs
local ENDS, JOBS = KEYS[10], KEYS[12]
local states, ending, ended = {}, {}, {}

-- displace returns the words of a request that takes old's place.
local function displace(old, text, ends)
  local w = {text = text, ends = ends, base = NONE, flags = NONE, stack = NONE}
  if not old then return w end
  local before = words(old)
  w.base = before and before.base or NONE
  w.stack = entry(old, before)
  -- A call that was not heard of as a success may have changed what base says.
  if old.state ~= 's' and (old.claim ~= NONE or not before or before.flags ~= NONE) then w.flags = 't' end
  if old.state == 's' then
    w.base = old.op
  elseif (old.state == 'w' or old.state == 'f') and before and before.stack ~= NONE then
    local list = beneath(before.stack)
    if #list >= STACK then table.remove(list, #list - 1) end
    w.stack = w.stack .. ';' .. table.concat(list, ';')
  end
  return w
end

local function mark(writes, user, old, op, queue, version, text, ends)
  local r = {op = op, state = 'w', queue = queue, attempts = '0', version = version,
    claim = old and old.claim or NONE, wa_id = old and old.wa_id or NONE,
    settled = '0', first = '0', more = old and old.more or '', failure = ''}
  local waits = old and old.state == 'w'
  -- Asking again must not mean waiting longer: the better queue and the older place stay.
  if waits and RANK[old.queue] < RANK[queue] then r.queue = old.queue end
  if old and (waits or old.state == 'f') and counted(old) then count_at(old.version, 'n', 1) end
  if ends ~= '0' then
    pair(ending, ends, user)
  else
    local before = old and words(old)
    if before and before.ends ~= '0' then ended[#ended + 1] = user end
  end
  if text ~= '' and (r.more == '' or string.sub(r.more, 1, 3) == ' 2 ') then
    set_words(r, displace(old, text, ends))
  elseif string.sub(r.more, 1, 3) == ' 2 ' then
    r.more = ''
  end
  if r.claim == NONE then -- else the end of the call that holds it puts it in line
    joins(WAITING[r.queue .. op])
    wait_now(writes, user, r, waits and leaves(user, old))
  end
  put(writes, user, r)
  return r
end

-- mark_new marks a user without a record like another one of its request, of which r is the record.
local function mark_new(writes, user, r, ends)
  if ends ~= '0' then pair(ending, ends, user) end
  r.line = r.line or format(r)
  pair(writes.records, user, r.line)
  wait_now(writes, user, r)
end

-- slip_under keeps a request that is marked later than one that is newer and still waits, as if it had been displaced by
-- that: it comes back when the newer one is canceled. Without words nothing is kept.
local function slip_under(writes, user, newer, op, queue, version, text, ends)
  local w = newer and (newer.state == 'w' or newer.state == 'f') and counted(newer) and words(newer)
  if not w then return end
  local list, place = beneath(w.stack), 1
  while list[place] and tonumber(string.match(list[place], '^%l,%l,%l,%d+,(%d+)')) > tonumber(version) do place = place + 1 end
  local r = {op = op, state = 'w', queue = queue, attempts = '0', version = version, settled = '0', first = '0', failure = ''}
  table.insert(list, place, entry(r, {text = text, ends = ends, base = w.base, flags = w.flags}))
  if #list > STACK then table.remove(list, #list - 1) end
  w.stack = table.concat(list, ';')
  set_words(newer, w)
  put(writes, user, newer)
end

-- peek returns op, state and version of what parse would take for a record, at less cost.
local function peek(line)
  if not line then return nil end
  local op, state, version, at = string.match(line, '^([bu]) ([wfsdx]) [ibr] %d+ (%d+) %S+ %S+ %d+ %d+()')
  if op and (at > #line or string.byte(line, at) == 10 or string.sub(line, at, at + 2) == ' 2 ') then
    return op, state, version
  end
  local r = parse(line)
  if r then return r.op, r.state, r.version end
end

-- The version counter may have lost its end (a failover) while the clock was set back: then what
-- is asked for from now on must not get a version below one that was given out before.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function catch_up(version)
  if version <= now or version > now + HOUR then return end
  if version > (tonumber(redis.call('GET', KEYS[9]) or '') or 0) then redis.call('SET', KEYS[9], whole(version)) end
end

-- in_part takes note that a part of a counted job was marked, and returns whether that is the first time.
local function in_part(job, part)
  if not job or part == 0 or string.sub(job.parts, part, part) ~= '0' then return false end
  job.parts = string.sub(job.parts, 1, part - 1) .. '1' .. string.sub(job.parts, part + 1)
  return true
end

local versions, compared, starts, at = {}, {}, {}, 3
while at <= #ARGV do
  if ARGV[at + 3] ~= '' then versions[#versions + 1] = ARGV[at + 2] end
  if ARGV[at + 6] ~= '' then compared[#compared + 1], starts[#starts + 1] = ARGV[at + 2], ARGV[at + 6] end
  at = at + 8 + ARGV[at + 7]
end
load_counts(versions)

-- Another job may have the version of one whose registration was lost, in a failover while the clock was set back.
local strange = {} -- by version and beginning
for from = 1, #compared, 2000 do
  for k, record in ipairs(redis.call('HMGET', JOBS, unpack(compared, from, math.min(from + 1999, #compared)))) do
    local start = starts[from + k - 1]
    if record and string.sub(record, 1, #start) ~= start then strange[compared[from + k - 1] .. start] = true end
  end
end

local i = 3
while i <= #ARGV do
  local op, queue, version, text, ends = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local n, first = tonumber(ARGV[i + 7]), i + 7
  local lost = strange[version .. ARGV[i + 6]]
  if lost then text = '' end
  local wanted, job = tonumber(version), text ~= '' and lines_of[version]
  local whole_part, canceled = in_part(job, tonumber(ARGV[i + 5])), job and job.flags == 'c'
  if whole_part then count_at(version, 'n', 0) end
  catch_up(wanted)
  local users, lines = records_of({unpack(ARGV, first + 1, first + n)})
  local writes = batch()
  local marked = {} -- here, by record: a second mark would not find the place that the first took over
  local new -- the record of a user who had none
  local seen, has_op, state, has -- of the line before: those of a job's new users are equal
  for j = 1, n do
    if lines[j] ~= seen then
      seen, has_op, state, has = lines[j], peek(lines[j])
    end
    if has == version and has_op == op then
      states[#states + 1] = state
      if whole_part then count_at(version, 'n', 1) end -- asked for under another name of the person
    elseif has and tonumber(has) >= wanted then -- two requests share a version: the first one keeps it
      states[#states + 1] = 'n'
      if whole_part then
        count_at(version, 'n', 1)
        local user = users[j]
        if tonumber(has) > wanted and not canceled and not marked[user] then
          slip_under(writes, user, parse(lines[j]), op, queue, version, text, ends)
          marked[user] = true
        end
      end
    elseif lost and ends ~= '0' then
      states[#states + 1] = 'n' -- uncounted it would never end
    elseif canceled then
      states[#states + 1] = 'c'
      if whole_part then count_at(version, 'c', 1) end
    else
      local user = users[j]
      if not marked[user] and new and not lines[j] then
        mark_new(writes, user, new, ends)
      elseif not marked[user] then
        local r = mark(writes, user, parse(lines[j]), op, queue, version, text, ends)
        if not lines[j] then new = r end
      elseif whole_part then
        count_at(version, 'n', 1)
      end
      marked[user] = true
      states[#states + 1] = 'w'
    end
  end
  flush(writes) -- before the next segment, which may name the same users
  i = first + n + 1
end
send('ZREM', ENDS, ended)
send('ZADD', ENDS, ending)
flush_counts(math.floor(now / 1000))
if wake then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return table.concat(states)
