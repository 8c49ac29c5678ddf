-- Read an index in the order of its moments.
--
-- KEYS  the prefix of every key
-- ARGV  index, the most members, the member to go on behind ('': from the start, as when it has left since)
-- Reply the members

local index = KEYS[1] .. 'index:' .. ARGV[1]
local rank = ARGV[3] ~= '' and redis.call('ZRANK', index, ARGV[3])
local first = rank and rank + 1 or 0
return redis.call('ZRANGE', index, first, first + ARGV[2] - 1)
