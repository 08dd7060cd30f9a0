-- What the scripts that keep an event of a room have in common; it stands before them.
--
-- KEYS[1]  hash: epoch, last (offset), floor, bytes
-- KEYS[2]  list: one entry for each event, "offset at event"
-- ARGV     new epoch, now (ms), most events, age (ms), most bytes, publish command,
--          channel, what stands before the position, event

local function epoch_of_room()
  local epoch = redis.call('HGET', KEYS[1], 'epoch')
  if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'epoch', epoch)
  end
  return epoch
end

-- Keeps the event at its place, forgets what is too much or too old, and publishes it.
local function keep_and_publish(epoch, offset)
  local now, most, age, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local entry = offset .. ' ' .. ARGV[2] .. ' ' .. ARGV[9]
  local count = redis.call('RPUSH', KEYS[2], entry)
  -- The list may have expired since, and its bytes with it.
  local bytes = #entry
  if count > 1 then
    bytes = redis.call('HINCRBY', KEYS[1], 'bytes', #entry)
  else
    redis.call('HSET', KEYS[1], 'bytes', bytes)
  end
  while true do
    local first = redis.call('LINDEX', KEYS[2], 0)
    if not first then
      break
    end
    local place, at = string.match(first, '^(%d+) (%-?%d+) ')
    if count <= most and bytes <= most_bytes and now - tonumber(at) <= age then
      break
    end
    redis.call('LPOP', KEYS[2])
    count = count - 1
    bytes = redis.call('HINCRBY', KEYS[1], 'bytes', -#first)
    redis.call('HSET', KEYS[1], 'floor', place)
  end
  -- What was remembered outlives the events for a day: who comes back by then has missed nothing.
  redis.call('PEXPIRE', KEYS[2], age + 1000)
  redis.call('PEXPIRE', KEYS[1], age + 86400000)
  redis.call(ARGV[6], ARGV[7], ARGV[8] .. epoch .. ' ' .. offset .. ' ' .. ARGV[9])
  return {epoch, offset}
end
