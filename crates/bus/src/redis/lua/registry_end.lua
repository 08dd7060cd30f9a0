-- Ends a run, or forgets one that has ended.
--
-- KEYS[1]  as of registry_enlist.lua
-- ARGV     incarnation, quit or bury
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGET', KEYS[1], ARGV[1])
local ends, id = string.match(known or '', '^(%d+) %d+ %d+ (.*)$')
if not ends then
  return 0
end
if ARGV[2] == 'quit' then
  redis.call('HSET', KEYS[1], ARGV[1], '0 0 0 ' .. id)
elseif tonumber(ends) <= now then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
