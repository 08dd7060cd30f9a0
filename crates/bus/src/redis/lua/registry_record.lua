-- What is known of a user.
--
-- KEYS[1]  hash: public id of a connection -> "incarnation json"; # -> version
--
-- Answers {version, values of all connections...}. Of nothing the version is the millisecond before
-- this one: whoever puts something there later takes a higher one, also in this millisecond.
local answer = {false}
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  if known[i] == '#' then
    answer[1] = known[i + 1]
  else
    answer[#answer + 1] = known[i + 1]
  end
end
if not answer[1] then
  local time = redis.call('TIME')
  answer[1] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - 1)
end
return answer
