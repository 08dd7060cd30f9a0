-- Says who clears away what a dead node left.
--
-- KEYS[1]  as of registry_enlist.lua
-- ARGV     who wants to, incarnation of the dead one, for how long (ms)
--
-- Answers 1, or 0: it is not dead, or another does.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[1], ARGV[2])
local ends, by, till, id = string.match(known or '', '^(%d+) (%d+) (%d+) (.*)$')
if not ends or tonumber(ends) > now or (by ~= ARGV[1] and tonumber(till) > now) then
  return 0
end
till = string.format('%.0f', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], ARGV[2], ends .. ' ' .. ARGV[1] .. ' ' .. till .. ' ' .. id)
return 1
