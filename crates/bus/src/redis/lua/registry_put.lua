-- Puts a node's connections of one user in the place of those that it had.
--
-- KEYS[1]  hash: public id of a connection -> "incarnation json"; # -> version
-- KEYS[2]  set: what the incarnation has a part in
-- ARGV     incarnation, name of the user in that set, and id and value of each connection
--
-- Answers {version, values of all connections of the user...}.
local me = ARGV[1]
local mine = {}
for i = 3, #ARGV, 2 do
  mine[ARGV[i]] = true
end
local answer, version = {0}, 0
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  local id, value = known[i], known[i + 1]
  if id == '#' then
    version = tonumber(value)
  elseif not mine[id] then
    if string.match(value, '^(%d+) ') == me then
      redis.call('HDEL', KEYS[1], id)
    else
      answer[#answer + 1] = value
    end
  end
end
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  answer[#answer + 1] = ARGV[i + 1]
end
-- Versions grow, also over a time in which nothing is known of the user.
local time = redis.call('TIME')
version = math.max(version + 1, time[1] * 1000 + math.floor(time[2] / 1000))
answer[1] = string.format('%.0f', version)
redis.call('HSET', KEYS[1], '#', answer[1])
if #answer == 1 then
  redis.call('PEXPIRE', KEYS[1], 60000)
elseif #known <= 2 then
  redis.call('PERSIST', KEYS[1])
end
redis.call(#ARGV > 2 and 'SADD' or 'SREM', KEYS[2], ARGV[2])
return answer
