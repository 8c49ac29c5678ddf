-- Read what people typed, which the records of some subjects commit to.
--
-- KEYS  the prefix of every key
-- ARGV  subjects
-- Reply commitment, salt and text, and so on

local found = {}
for _, subject in ipairs(ARGV) do
  for _, value in ipairs(redis.call('HGETALL', KEYS[1] .. 'texts:' .. subject)) do found[#found + 1] = value end
end
return found
