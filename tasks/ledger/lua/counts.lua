-- counts.lua: how many users of each job ended in which way; behind record.lua in the scripts that
-- change states. A version names one job of its phone number ID. The hash COUNTS, the last of a
-- script's keys, has one line for each job that is kept, by version:
--
--   succeeded dead superseded canceled ended flags parts [code=n ...]
--
--   ended   when one of them ended last, in ms, 0 for never
--   flags   "c" when the job was canceled, else "-"
--   parts   for each part of the job "1" when its users were marked once, else "0"
--   code=n  how many of the dead had this code of the API
--
-- Each user of a job is counted where it ends, by the script that ends it, and so exactly once. What
-- is not counted is pending. Versions without a line are passed over: of jobs that are no longer kept.

local COUNTS = KEYS[#KEYS]
local MAX_CODES = 40 -- further ones count as 0
local lines_of, changes = {}, {}

local function read_counts(text)
  local s, d, n, c, ended, flags, parts, rest = string.match(text or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%S+) ([01]+)(.*)$')
  if not s then return nil end
  local line = {s = tonumber(s), d = tonumber(d), n = tonumber(n), c = tonumber(c), ended = ended, flags = flags,
    parts = parts, codes = {}, known = 0}
  if rest == '' then return line end
  for code, number in string.gmatch(rest, ' (%d+)=(%d+)') do
    line.codes[code], line.known = tonumber(number), line.known + 1
  end
  return line
end

-- load_counts reads the lines of versions that were not read yet.
local function load_counts(versions)
  local missing = {}
  for _, version in ipairs(versions) do
    if lines_of[version] == nil then
      lines_of[version] = false
      missing[#missing + 1] = version
    end
  end
  for from = 1, #missing, 2000 do
    local texts = redis.call('HMGET', COUNTS, unpack(missing, from, math.min(from + 1999, #missing)))
    for k, text in ipairs(texts) do lines_of[missing[from + k - 1]] = read_counts(text) or false end
  end
end

-- count_at adds n to a count of a version: s, d, n or c; of the dead with their code.
local function count_at(version, what, n, code)
  local change = changes[version]
  if not change then
    change = {s = 0, d = 0, n = 0, c = 0, codes = {}}
    changes[version] = change
  end
  change[what] = change[what] + n
  if code then change.codes[code] = (change.codes[code] or 0) + n end
end

-- flush_counts writes what changed, in one command.
local function flush_counts(now)
  local versions, writes = {}, {}
  for version in pairs(changes) do versions[#versions + 1] = version end
  if #versions == 0 then return end
  load_counts(versions)
  for _, version in ipairs(versions) do
    local line, change = lines_of[version], changes[version]
    if line then
      for _, what in ipairs({'s', 'd', 'n', 'c'}) do line[what] = math.max(0, line[what] + change[what]) end
      for code, n in pairs(change.codes) do
        if not line.codes[code] then
          if line.known >= MAX_CODES then code = '0' end
          line.known = line.known + 1
        end
        line.codes[code] = math.max(0, (line.codes[code] or 0) + n)
      end
      if change.s ~= 0 or change.d ~= 0 or change.n ~= 0 or change.c ~= 0 then line.ended = whole(now) end
      local text = {whole(line.s), whole(line.d), whole(line.n), whole(line.c), line.ended, line.flags, line.parts}
      for code, n in pairs(line.codes) do
        if n > 0 then text[#text + 1] = code .. '=' .. whole(n) end
      end
      writes[#writes + 1], writes[#writes + 2] = version, table.concat(text, ' ')
    end
  end
  changes = {}
  send('HSET', COUNTS, writes)
end
