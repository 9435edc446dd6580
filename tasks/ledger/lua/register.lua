-- register.lua: gives a job its version, and writes the job down.
--
-- KEYS[1]  the last version that was given out
-- KEYS[2]  jobs: hash, what was asked for, by version
-- KEYS[3]  counts: hash, see counts.lua; its field "users" counts the users of all jobs that are kept
-- KEYS[4]  IDs: hash, the version of a job ID's last job
-- KEYS[5]  order: sorted set of the versions, by when the job was accepted, in µs
-- KEYS[6]  lists: hash, the users of a job's part, by "version:part"
-- KEYS[7]  texts: hash, who asked and why, by digest
-- ARGV[1]  the job's ID
-- ARGV[2]  what was asked for, as JSON; "request" in it tells one request from another
-- ARGV[3]  parts
-- ARGV[4]  users
-- ARGV[5]  version that is wanted, or the first free one behind it; "0" for a new one
-- ARGV[6]  digest of the text, "-" for none
-- ARGV[7]  the text
-- ARGV[8]  µs that the job is put off
-- ARGV[9]  µs that jobs are kept
-- ARGV[10] jobs that are kept
-- ARGV[11] users of jobs that are kept
-- ARGV[12] "1" to give out one more version, behind this one, that no other request gets
-- Returns  version, and "1" when it is that of an earlier attempt, of which nothing was marked

local VERSION, JOBS, COUNTS, IDS, ORDER, LISTS, TEXTS = unpack(KEYS)
local TRIM = 8 -- jobs that one registration drops at most

local function whole(number) return string.format('%.0f', number) end

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]

-- drop forgets a job.
local function drop(version)
  local text = redis.call('HGET', JOBS, version)
  local ok, job = pcall(cjson.decode, text or '')
  if ok and type(job) == 'table' then
    local fields = {}
    for part = 1, math.min(tonumber(job.parts) or 1, 5000) do fields[part] = version .. ':' .. part end
    redis.call('HDEL', LISTS, unpack(fields))
    redis.call('HINCRBY', COUNTS, 'users', -(tonumber(job.accepted) or 0))
    if redis.call('HGET', IDS, job.id) == version then redis.call('HDEL', IDS, job.id) end
  end
  redis.call('ZREM', ORDER, version)
  redis.call('HDEL', JOBS, version)
  redis.call('HDEL', COUNTS, version)
end

-- An attempt that failed, or is under way, has the same version.
local before = redis.call('HGET', IDS, ARGV[1])
if before then
  local line = redis.call('HGET', COUNTS, before)
  local unmarked = line and string.match(line, '^0 0 0 0 0 %- (0+)$')
  if unmarked then
    local ok, job = pcall(cjson.decode, redis.call('HGET', JOBS, before) or '')
    if ok and job.request == cjson.decode(ARGV[2]).request then return {before, '1'} end
    drop(before)
  end
end

-- taken reports whether a version is another job's, or the end of its blocks.
local function taken(version)
  if redis.call('HEXISTS', JOBS, whole(version)) == 1 then return true end
  local before = redis.call('HGET', JOBS, whole(version - 1))
  return before and string.find(before, '"until":', 1, true) ~= nil
end

local version, given = nil, tonumber(redis.call('GET', VERSION) or '') or 0
if ARGV[5] == '0' then
  version = now
  if version <= given then version = given + 1 end
else
  local wanted = tonumber(ARGV[5])
  version = wanted
  local spread = 1
  while taken(version) and spread < 2 ^ 24 do
    spread = spread * 2 -- the version of another job: many may be of the same second
    version = wanted + (now % spread)
  end
end
local last = version
if ARGV[12] == '1' then last = version + 1 end
-- One that is wanted counts as given out where new ones count up one by one, as they do while the clock is set back.
if last > given and (ARGV[5] == '0' or last <= given + 1000) then redis.call('SET', VERSION, whole(last)) end
version = whole(version)

-- What frees memory goes first: see record.lua.
local oldest = redis.call('ZRANGE', ORDER, 0, TRIM - 1, 'WITHSCORES')
local kept = redis.call('ZCARD', ORDER)
local users = tonumber(redis.call('HGET', COUNTS, 'users') or '') or 0
for i = 1, #oldest, 2 do
  if tonumber(oldest[i + 1]) < now - tonumber(ARGV[9]) or kept >= tonumber(ARGV[10]) or
      users + tonumber(ARGV[4]) > tonumber(ARGV[11]) then
    drop(oldest[i])
    kept = kept - 1
    users = tonumber(redis.call('HGET', COUNTS, 'users') or '') or 0
  end
end

redis.call('HSET', JOBS, version, ARGV[2])
redis.call('HSET', COUNTS, version, '0 0 0 0 0 - ' .. string.rep('0', tonumber(ARGV[3])))
redis.call('HINCRBY', COUNTS, 'users', ARGV[4])
redis.call('HSET', IDS, ARGV[1], version)
redis.call('ZADD', ORDER, whole(now + tonumber(ARGV[8])), version)
if ARGV[6] ~= '-' then redis.call('HSETNX', TEXTS, ARGV[6], ARGV[7]) end
return {version, '0'}
