-- cancel.lua: withdraws a job. It is taken out of the history of its users: what each was before
-- comes back, and a request that it had displaced while that waited goes on. What is in a call
-- ends as it ends, and so does what may have been carried out, where nothing tells how to mend it.
--
-- KEYS     as record.lua, then [9] ends: sorted set of the users with a timed block, by when it ends,
--          in ms, [10] PERSONS of persons.lua, and [11] as counts.lua
-- ARGV[1]  channel to publish on when users begin to wait in a line where none did
-- ARGV[2]  the message: the phone number ID
-- ARGV[3]  version of the job
-- ARGV[4]  which part of the job the users are, from 1; 0 without users: the job is marked as canceled,
--          so that no user of it is marked any more
-- ARGV[5…] all users of that part
-- Returns  1, or 0 when the job is not known; then when the first of the timed blocks ends that came back, in
--          ms, 0 for none

local ENDS = KEYS[9]
local version, part = ARGV[3], tonumber(ARGV[4])
local now = now_ms()

load_counts({version})
local job = lines_of[version]
if not job then return {0, 0} end
job.flags = 'c'
count_at(version, 'c', 0) -- so that it is written

-- entries reads a stack: see stack.lua, and displace in mark.lua.
local function entries(stack)
  local list = {}
  if stack == NONE then return list end
  for text in string.gmatch(stack, '[^;]+') do
    local e = {raw = text}
    e.op, e.state, e.queue, e.attempts, e.version, e.settled, e.first, e.code, e.text, e.ends, e.base, e.flags =
      string.match(text, '^([bu]),(%l),([ibr]),(%d+),(%d+),(%d+),(%d+),(%d+),([^,]+),(%d+),([^,]+),([^,]+)$')
    if not e.op then return list end
    e.pending = e.state == 'w' or e.state == 'f'
    e.counted = e.text ~= '!' and string.sub(e.text, 1, 1) ~= ENDED
    list[#list + 1] = e
  end
  return list
end

-- before returns the entry that comes back, with those beneath it: the first one whose own job was
-- not canceled.
local function before(list)
  local versions = {}
  for _, e in ipairs(list) do versions[#versions + 1] = e.version end
  load_counts(versions)
  for k, e in ipairs(list) do
    local line = lines_of[e.version]
    if not (e.state == 'w' and e.counted and line and line.flags == 'c') then
      local beneath = {}
      for m = k + 1, #list do beneath[#beneath + 1] = list[m].raw end
      return e, beneath, k
    end
  end
  return nil, {}, #list + 1
end

-- again returns the state that an entry comes back in, nil where that can't be told: a call may
-- have been carried out since, and none would put it right.
local function again(e, r, w)
  if e.pending then
    if r.claim == NONE then return 'w' end -- the call has ended, if there was one: one more follows
    return e.state
  end
  if r.claim ~= NONE then return nil end
  if w.flags == NONE or (e.state == 's' and e.op or w.base) == r.op then return e.state end
  if e.state == 's' then return 'w' end
  return nil
end

local gone, soonest = {}, 0

local function withdraw(writes, ending, ended, user, r, w)
  local list = entries(w.stack)
  local e, beneath, passed = before(list)
  local state
  if e then
    state = again(e, r, w)
    if not state then return false end
  elseif w.flags ~= NONE or r.claim ~= NONE then
    return false
  end
  for k = 1, passed - 1 do -- canceled before, while another request had displaced them
    count_at(list[k].version, 'n', -1)
    count_at(list[k].version, 'c', 1)
  end
  if r.claim == NONE then leaves(user, r) end
  if w.ends ~= '0' then ended[#ended + 1] = user end
  count_at(version, 'c', 1)
  if not e then
    gone[#gone + 1] = user
    return true
  end
  local new = {op = e.op, state = state, queue = e.queue, attempts = e.attempts, version = e.version, claim = r.claim,
    wa_id = r.wa_id, settled = e.settled, first = e.first, more = '', failure = ''}
  if e.code ~= '0' then new.failure = '\n{"code":' .. e.code .. '}' end
  if e.text ~= '!' then
    -- What a call may have done since is to be known when this request is canceled as well.
    if e.pending and (w.flags ~= NONE or e.state == 'f' and r.claim == NONE) then e.flags = 't' end
    local stack = NONE
    if #beneath > 0 then stack = table.concat(beneath, ';') end
    set_words(new, {text = e.text, ends = e.ends, base = e.base, flags = e.flags, stack = stack})
  end
  if e.pending and e.counted then count_at(e.version, 'n', -1) end
  if state == 'w' then
    new.settled = '0'
    if not e.pending then
      if e.counted then count_at(e.version, 's', -1) end
      touched(new)
    end
    if r.claim == NONE then -- else the end of the call that holds it puts it in line
      joins(WAITING[new.queue .. new.op])
      wait_now(writes, user, new)
    end
  end
  if e.ends ~= '0' then
    pair(ending, e.ends, user)
    if soonest == 0 or tonumber(e.ends) < soonest then soonest = tonumber(e.ends) end
  end
  put(writes, user, new)
  return true
end

if part > 0 then
  local first = string.sub(job.parts, part, part) == '0' -- a part that was never marked: its users are counted here
  if first then job.parts = string.sub(job.parts, 1, part - 1) .. '1' .. string.sub(job.parts, part + 1) end
  local users, lines = records_of({unpack(ARGV, 5)})
  local writes, ending, ended, seen = batch(), {}, {}, {}
  for k, user in ipairs(users) do
    local r = parse(lines[k])
    local w = r and r.version == version and counted(r) and words(r)
    if w then
      local twice = seen[user] -- under another name of the person, which was counted as superseded
      seen[user] = true
      -- Only who waits: claim.lua notes who is in a call in the same record, and Redis runs one script at a time, so a user is
      -- claimed or withdrawn, never both.
      if r.state == 'w' and not twice then withdraw(writes, ending, ended, user, r, w) end
    elseif first then
      if r and tonumber(r.version) >= tonumber(version) then
        count_at(version, 'n', 1)
      else
        count_at(version, 'c', 1)
      end
    end
  end
  send('HDEL', USERS, gone)
  send('ZREM', ENDS, ended)
  flush(writes)
  send('ZADD', ENDS, ending)
end
flush_counts(now)
if wake then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
return {1, soonest}
