-- Lengthens a node's lease.
--
-- KEYS[1]  as of registry_enlist.lua
-- ARGV     incarnation, lease (ms)
--
-- Answers {newest, and incarnation, 1 (lives) or 0, node id of each}; {}: the lease has run out.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine = redis.call('HGET', KEYS[1], ARGV[1])
local ends, id = string.match(mine or '', '^(%d+) %d+ %d+ (.*)$')
if not ends or tonumber(ends) <= now then
  return {}
end
ends = string.format('%.0f', now + tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], ARGV[1], ends .. ' 0 0 ' .. id)
local answer = {'0'}
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  if known[i] == '#' then
    answer[1] = known[i + 1]
  else
    local till, name = string.match(known[i + 1], '^(%d+) %d+ %d+ (.*)$')
    answer[#answer + 1] = known[i]
    answer[#answer + 1] = tonumber(till) > now and '1' or '0'
    answer[#answer + 1] = name
  end
end
return answer
