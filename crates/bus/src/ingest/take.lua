-- Several nodes hear the same message; the first one puts it into the stream.
-- KEYS: the claim, the stream. ARGV: life of the claim in ms, most entries of the stream, channel, payload.
-- Gives 1: it is in; 0: another was first; -1: there is no room.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[2]) then
  return -1
end
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
redis.call('XADD', KEYS[2], '*', 'channel', ARGV[3], 'payload', ARGV[4])
return 1
