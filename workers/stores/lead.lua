-- Become or stay the one reader of the outbox.
--
-- KEYS  the prefix of every key
-- ARGV  reader, lease in ms
-- Reply 1, or 0 while somebody else is

local leader = KEYS[1] .. 'leader'
local holder = redis.call('GET', leader)
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', leader, ARGV[1], 'PX', ARGV[2])
return 1
