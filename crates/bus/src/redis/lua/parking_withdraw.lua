-- Takes back what was left, if it is still there.
--
-- KEYS[1]  what was left
-- ARGV     the text of it
--
-- Answers 1 if it was there.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
