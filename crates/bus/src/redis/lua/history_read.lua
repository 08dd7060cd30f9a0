-- What a room remembers since some position.
--
-- KEYS[1]  hash: epoch, last (offset), floor, bytes
-- KEYS[2]  list: one entry for each event, "offset at event"
-- ARGV     new epoch, now (ms), most events, age (ms), epoch and offset of the position ('' if
--          there is none)
--
-- Answers {epoch, last, 1 if nothing since then is forgotten, entries...}.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'last', 0)
  redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[4]) + 86400000)
end
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
local floor = tonumber(redis.call('HGET', KEYS[1], 'floor') or '0')
local now, most, age = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local entries = redis.call('LRANGE', KEYS[2], -most, -1)
-- The list may have expired as a whole.
if #entries == 0 then
  floor = last
end
local since = nil
if ARGV[5] == epoch then
  since = tonumber(ARGV[6])
end
local answer = {epoch, last, 0}
local missed = {}
for _, entry in ipairs(entries) do
  local place, at = string.match(entry, '^(%d+) (%-?%d+) ')
  place = tonumber(place)
  if now - tonumber(at) > age then
    floor = math.max(floor, place)
  elseif since and place > since then
    missed[#missed + 1] = entry
  end
end
if entries[1] then
  floor = math.max(floor, tonumber(string.match(entries[1], '^(%d+) ')) - 1)
end
if since and since >= floor and since <= last then
  answer[3] = 1
  for _, entry in ipairs(missed) do
    answer[#answer + 1] = entry
  end
end
return answer
