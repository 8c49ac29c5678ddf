-- Read where a log begins whose first records were taken out.
--
-- KEYS  the prefix of every key
-- Reply how many were, the tree's peaks there, then 'SUBJECT N PREV' for each chain of which some were

local call, prefix = redis.call, KEYS[1]
local base = call('HMGET', prefix .. 'base', 'size', 'peaks')
local reply = {tonumber(base[1] or 0), base[2] or ''}
local cut = call('HGETALL', prefix .. 'cut')
for i = 1, #cut, 2 do reply[#reply + 1] = cut[i] .. ' ' .. cut[i + 1] end
return reply
