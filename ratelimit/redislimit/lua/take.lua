-- May one call be sent now, and if not, when? The arithmetic is that of bucket.go, in integers.
--
-- KEYS[1]  hash of the limit
-- ARGV[1]  ceiling, microcalls a second
-- ARGV[2]  burst, calls
-- ARGV[3]  users per call at most
-- ARGV[4]  rate to start with when nothing is known, microcalls a second
-- ARGV[5]  1 to start with a probe when nothing is known, else 0
-- ARGV[6]  time between steps when nothing is known, microseconds
-- ARGV[7..9]  since this process asked last: calls served, calls reported, retries among them
-- ARGV[10] time to live, seconds
--
-- Returns {reason, wait in microseconds, users, fresh only, epoch, probe, trial, due}; reason 0 gives leave.

local MICRO = 1000000
local LEASE, PROBE_POLL, LONGEST_STEP, MINUTE = 10 * MICRO, 100000, 200 * MICRO, 60 * MICRO
local RETRY_SHARE, RETRY_ALWAYS = 5, 60
local NOT_LIMITED, PAUSED, PROBING, PACE = 0, 1, 2, 3

local t = redis.call('TIME')
local now = tonumber(t[1]) * MICRO + tonumber(t[2])
local ceiling, burst, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local names = {'pace', 'paused', 'probe', 'epoch', 'size', 'trial', 'every',
  'tokens', 'at', 'probe_until', 'trial_until', 'due_at', 'taken', 'served',
  'window', 'calls', 'retries', 'prev_calls', 'prev_retries', 'born'}
local values = redis.call('HMGET', KEYS[1], unpack(names))
local h = {}
for i, name in ipairs(names) do h[name] = tonumber(values[i] or '0') end
if not values[1] then
  h.pace, h.probe, h.every = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
end

local write = {}
local function set(name, value)
  h[name] = value
  write[#write + 1] = name
  write[#write + 1] = string.format('%.0f', value)
end

if h.born == 0 then set('born', now) end -- measurements begin with the first question

-- The retry budget: this minute's retries, and of the last minute's as much as still falls within 60 s.
local function turn()
  local passed = now - h.window
  if passed >= 2 * MINUTE then
    set('window', now); set('calls', 0); set('retries', 0); set('prev_calls', 0); set('prev_retries', 0)
  elseif passed >= MINUTE then
    set('window', h.window + MINUTE); set('prev_calls', h.calls); set('prev_retries', h.retries)
    set('calls', 0); set('retries', 0)
  end
end
if tonumber(ARGV[8]) > 0 then
  turn()
  set('served', h.served + tonumber(ARGV[7]))
  set('calls', h.calls + tonumber(ARGV[8]))
  set('retries', h.retries + tonumber(ARGV[9]))
end
local function retries_spent()
  local passed = now - h.window
  local calls, retries, prev_calls, prev_retries = h.calls, h.retries, h.prev_calls, h.prev_retries
  if passed >= 2 * MINUTE then
    return 0
  elseif passed >= MINUTE then
    passed, prev_calls, prev_retries, calls, retries = passed - MINUTE, calls, retries, 0, 0
  end
  local left = MINUTE - passed
  local r, c = retries * MINUTE + prev_retries * left, calls * MINUTE + prev_calls * left
  if r >= RETRY_ALWAYS * MINUTE and r * RETRY_SHARE >= c then return 1 end
  return 0
end

local function finish(reason, wait, users, probe, trial, due)
  if #write > 0 then
    redis.call('HDEL', KEYS[1], '') -- a Redis that is out of memory lets a script write on after a write that needs none
    redis.call('HSET', KEYS[1], unpack(write))
    redis.call('EXPIRE', KEYS[1], ARGV[10])
  end
  return {reason, wait, users, retries_spent(), h.epoch, probe, trial, due}
end

-- A clock that has gone back must not stop calls until it has caught up.
if h.at > now then set('at', now) end
if h.probe_until > now + LEASE then set('probe_until', 0) end
if h.trial_until > now + LEASE then set('trial_until', 0) end
if h.due_at > now + LONGEST_STEP then set('due_at', 0) end

local users = h.size
if users == 0 or users > most then users = most end

if now < h.paused then
  return finish(PAUSED, h.paused - now, users, 0, 0, 0)
end
if h.probe == 1 then
  if now < h.probe_until then
    return finish(PROBING, math.min(PROBE_POLL, h.probe_until - now), users, 0, 0, 0)
  end
  set('probe_until', now + LEASE)
  set('taken', h.taken + 1)
  return finish(NOT_LIMITED, 0, users, 1, 0, 0)
end

local rate = math.min(h.pace, ceiling)
local full = math.min(burst * MICRO, math.max(MICRO, rate))
local passed, missing = now - h.at, math.max(full - h.tokens, 0)
local tokens
if passed >= math.ceil(missing * MICRO / rate) then
  tokens = full
else
  tokens = h.tokens + math.floor(passed * rate / MICRO)
end
if tokens < MICRO then
  return finish(PACE, math.ceil((MICRO - tokens) * MICRO / rate), users, 0, 0, 0)
end
set('tokens', tokens - MICRO)
set('at', now)
set('taken', h.taken + 1)

local trial, due = 0, 0
if h.trial > users and now >= h.trial_until then
  set('trial_until', now + LEASE)
  users = math.min(h.trial, most)
  trial = users
end
if now >= h.due_at then
  set('due_at', now + h.every)
  due = 1
end
return finish(NOT_LIMITED, 0, users, 0, trial, due)
