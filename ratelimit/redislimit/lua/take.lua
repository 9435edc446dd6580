-- May one call be sent now, and if not, when? In integers; limittest/bucket.go does the same for simulations.
--
-- KEYS[1]  hash of the limit
-- ARGV[1]  ceiling, microcalls a second
-- ARGV[2]  burst, calls
-- ARGV[3]  users per call at most
-- ARGV[4]  rate to start with when nothing is known, microcalls a second
-- ARGV[5]  1 to start with a probe when nothing is known, else 0
-- ARGV[6]  time between steps when nothing is known, microseconds
-- ARGV[7]  calls served since this process asked last
-- ARGV[8]  what they add to the retry budget, in millionths of a token
-- ARGV[9]  time to live, seconds
-- ARGV[10] number of the worker that asks, 0 for none
--
-- Returns {reason, wait in microseconds, users, microseconds until the retry budget has room, epoch, probe, trial, due,
-- retry}; reason 0 allows the call.

local MICRO = 1000000
local LEASE, PROBE_POLL, LONGEST_STEP, RETRY_BURST = 10 * MICRO, 100000, 200 * MICRO, 10 * MICRO
local NOT_LIMITED, PAUSED, PROBING, PACE = 0, 1, 2, 3

local t = redis.call('TIME')
local now = tonumber(t[1]) * MICRO + tonumber(t[2])
local ceiling, burst, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local names = {'pace', 'paused', 'probe', 'epoch', 'size', 'trial', 'every',
  'tokens', 'at', 'probe_until', 'trial_until', 'due_at', 'taken', 'served',
  'retry_tokens', 'retry_at', 'born', 'pause_from'}
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

if tonumber(ARGV[7]) > 0 then set('served', h.served + tonumber(ARGV[7])) end
if tonumber(ARGV[8]) ~= 0 then set('retry_tokens', h.retry_tokens + tonumber(ARGV[8])) end

-- A clock that has gone back must not stop calls until it has caught up.
if now < h.pause_from and now < h.paused then
  set('paused', now + h.paused - h.pause_from)
  set('pause_from', now)
end
if h.at > now then set('at', now) end
if h.retry_at > now then set('retry_at', now) end
if h.probe_until > now + LEASE then set('probe_until', 0) end
if h.trial_until > now + LEASE then set('trial_until', 0) end
if h.due_at > now + LONGEST_STEP then set('due_at', 0) end

-- The retry budget gets a token a second: a millionth a microsecond.
local retry_tokens = math.min(math.max(h.retry_tokens + now - h.retry_at, 0), RETRY_BURST)
local retry_wait = math.max(MICRO - retry_tokens, 0)

local users = h.size
if users == 0 or users > most then users = most end

local function store()
  if #write == 0 then return end
  redis.call('HDEL', KEYS[1], '') -- a Redis that is out of memory lets a script write on after a write that needs none
  redis.call('HSET', KEYS[1], unpack(write))
  redis.call('EXPIRE', KEYS[1], ARGV[9])
end

local function refuse(reason, wait)
  store()
  return {reason, wait, users, retry_wait, h.epoch, 0, 0, 0, 0}
end

local function grant(probe, trial, due)
  local retry = 0
  if retry_wait == 0 then
    retry = 1
    set('retry_tokens', retry_tokens - MICRO)
    set('retry_at', now)
  end
  set('taken', h.taken + 1)
  store()
  return {NOT_LIMITED, 0, users, retry_wait, h.epoch, probe, trial, due, retry}
end

if now < h.paused then return refuse(PAUSED, h.paused - now) end
if h.probe == 1 then
  if now < h.probe_until then return refuse(PROBING, math.min(PROBE_POLL, h.probe_until - now)) end
  set('probe_until', now + LEASE)
  set('probe_by', tonumber(ARGV[10]))
  return grant(1, 0, 0)
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
if tokens < MICRO then return refuse(PACE, math.ceil((MICRO - tokens) * MICRO / rate)) end
set('tokens', tokens - MICRO)
set('at', now)

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
return grant(0, trial, due)
