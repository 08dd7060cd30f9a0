-- Begins a run of a node, unless another run of it has a lease.
--
-- KEYS[1]  hash: incarnation -> "end of lease (ms), who clears it away, until (ms), node id";
--          # -> newest incarnation
-- ARGV     node id, an incarnation that is over ('' if none is), lease (ms)
--
-- Answers {1, incarnation}, or {0, who has the lease, how long (ms)}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGETALL', KEYS[1])
local newest, over = 0, {}
for i = 1, #known, 2 do
  if known[i] == '#' then
    newest = tonumber(known[i + 1])
  else
    local ends, by, till, id = string.match(known[i + 1], '^(%d+) (%d+) (%d+) (.*)$')
    if id == ARGV[1] then
      if tonumber(ends) > now and known[i] ~= ARGV[2] then
        return {0, known[i], string.format('%.0f', ends - now)}
      end
      over[#over + 1] = known[i]
    end
  end
end
for _, at in ipairs(over) do
  redis.call('HSET', KEYS[1], at, '0 0 0 ' .. ARGV[1])
end
-- Also higher than what was given before all was lost.
local me = string.format('%.0f', math.max(newest + 1, now))
local ends = string.format('%.0f', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], '#', me, me, ends .. ' 0 0 ' .. ARGV[1])
return {1, me, '0'}
