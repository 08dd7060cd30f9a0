-- Takes one from a quota (GCRA).
--
-- KEYS[1]  when the quota is full again, in microseconds
-- ARGV     limit, period (microseconds)
--
-- Answers {1, how many are left}, or {0, microseconds until there is one}.
local limit, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost = period / limit
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + cost
local ahead = full_at - now
-- Numbers of this size are not exact to the last microsecond.
if ahead > period + 1 then
  return {0, math.ceil(ahead - period)}
end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil(ahead / 1000))
return {1, math.max(0, math.floor((period - ahead + 1) / cost))}
