-- Publishes an event, and keeps it for a while with a place of its own. What cannot be kept is published all the same.
-- A room has the keys of its history. history_keep.lua stands before this.
--
-- ARGV     also: what stands before an event without a position
--
-- Answers {epoch, offset}, or nothing if it was not kept.
local offset = redis.pcall('HINCRBY', KEYS[1], 'last', 1)
if type(offset) ~= 'number' then
  redis.call(ARGV[6], ARGV[7], ARGV[10] .. ARGV[9])
  return {}
end
return keep_and_publish(epoch_of_room(), offset)
