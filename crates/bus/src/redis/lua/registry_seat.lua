-- Says how many connections of a user a node has in a room.
--
-- KEYS[1]  hash: user -> "incarnation:connections,..."
-- KEYS[2]  set: what the incarnation has a part in
-- ARGV     incarnation, user, connections, most users ('' if it does not matter), name of the
--          place in that set
--
-- Answers how many users are in the room; -1: there are as many others as may be.
local me, user, connections = ARGV[1], ARGV[2], tonumber(ARGV[3])
local held = redis.call('HGET', KEYS[1], user)
if ARGV[4] ~= '' and not held and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  return -1
end
local nodes = {}
for at, n in string.gmatch(held or '', '(%d+):(%d+)') do
  if at ~= me then
    nodes[#nodes + 1] = at .. ':' .. n
  end
end
if connections > 0 then
  nodes[#nodes + 1] = me .. ':' .. ARGV[3]
  redis.call('SADD', KEYS[2], ARGV[5])
else
  redis.call('SREM', KEYS[2], ARGV[5])
end
if #nodes > 0 then
  redis.call('HSET', KEYS[1], user, table.concat(nodes, ','))
else
  redis.call('HDEL', KEYS[1], user)
end
return redis.call('HLEN', KEYS[1])
