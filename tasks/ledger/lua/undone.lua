-- undone.lua: behind counts.lua in the scripts that end calls.

-- undone mends what a call may have undone whose claim was lost, by a failover, a stopped process
-- or a clock that was set forward: another call has carried out the opposite, or is about to.
local function undone(writes, user, r, effect)
  if not r or effect == '' then return false end
  if r.op == effect then
    if r.state ~= 's' and r.more ~= '' then -- it was carried out, perhaps, and no claim tells
      touched(r)
      leave_later(writes, '') -- as below
      put(writes, user, r)
    end
    return false
  end
  if r.state == 's' and r.claim == NONE then
    r.state, r.settled = 'w', '0'
    if counted(r) then count_at(r.version, 's', -1) end
    touched(r)
    wait_now(writes, user, r)
  elseif r.state == 'f' and r.claim ~= NONE and string.sub(r.claim, 1, 1) ~= REVOKED then
    r.claim = REVOKED .. r.claim -- that call may have ended before this one: it counts for nothing
  else
    return false -- another call follows in any case, or none has changed anything
  end
  leave_later(writes, '') -- only so that the first write is one that removes
  put(writes, user, r)
  return true
end
