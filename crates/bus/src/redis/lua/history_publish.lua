-- Gives an event its place in the history of its room, keeps it, and publishes it. history_keep.lua stands before this.
--
-- KEYS[1]  also: said (the last publications, "id=offset ")
-- ARGV     also: id of the publication
--
-- Answers {epoch, offset}; of one that comes again, because its answer was lost, those of the first time.
local epoch = epoch_of_room()
local said = redis.call('HGET', KEYS[1], 'said') or ''
local place_before = string.match(said, ARGV[10] .. '=(%d+)')
if place_before then
  return {epoch, tonumber(place_before)}
end
local offset = redis.call('HINCRBY', KEYS[1], 'last', 1)
said = said .. ARGV[10] .. '=' .. offset .. ' '
if #said > 512 then
  said = string.match(said, ' (.*)$')
end
redis.call('HSET', KEYS[1], 'said', said)
return keep_and_publish(epoch, offset)
