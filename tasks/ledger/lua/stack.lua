-- stack.lua: what a pending request keeps of those that it displaced; behind record.lua in the
-- scripts that displace requests. cancel.lua reads it.

local STACK = 4 -- requests that are kept; the last is what was done

-- entry returns the words by which a request comes back when the one that displaced it is canceled.
local function entry(r, w)
  local code = string.match(r.failure, '^\n{"code":(%d+)') or '0'
  return table.concat({r.op, r.state, r.queue, r.attempts, r.version, r.settled, r.first, code,
    w and w.text or '!', w and w.ends or '0', w and w.base or NONE, w and w.flags or NONE}, ',')
end

-- beneath returns the entries of a stack.
local function beneath(stack)
  local list = {}
  if stack == NONE then return list end
  for e in string.gmatch(stack, '[^;]+') do list[#list + 1] = e end
  return list
end
