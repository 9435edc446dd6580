-- backlog.lua: what waits, without changing anything.
--
-- KEYS     as record.lua
-- Returns  as tally.lua

return tally(now_ms())
