-- Estimates the bytes that a queue of asynq takes, passing over tasks whose body is missing.
--
-- KEYS[1..2]  lists of task IDs: active, pending
-- KEYS[3..6]  sorted sets of task IDs: scheduled, retry, archived, completed
-- ARGV[1]     prefix of the keys of tasks
-- ARGV[2]     how many tasks of each state are looked at
-- Returns the estimate, an integer.
local total = 0
for i, key in ipairs(KEYS) do
  local ids, count
  if i <= 2 then
    ids = redis.call("LRANGE", key, 0, ARGV[2] - 1)
    count = redis.call("LLEN", key)
  else
    ids = redis.call("ZRANGE", key, 0, ARGV[2] - 1)
    count = redis.call("ZCARD", key)
  end
  local seen, bytes = 0, 0
  for _, id in ipairs(ids) do
    local size = redis.call("MEMORY", "USAGE", ARGV[1] .. id)
    if size then
      seen = seen + 1
      bytes = bytes + size
    end
  end
  if seen > 0 then
    total = total + bytes / seen * count
  end
  total = total + (redis.call("MEMORY", "USAGE", key) or 0)
end
return math.floor(total)
