-- Begin or prolong an attempt: its lease counts from now, not from when the item was handed out.
--
-- KEYS  the prefix of every key
-- ARGV  lane, member, fence, lease in ms
-- Reply 1, or 0 if the item was handed out again or re-armed since

local call, prefix = redis.call, KEYS[1]
if call('HGET', prefix .. 'claims', ARGV[2]) ~= ARGV[3] then return 0 end
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
call('ZADD', prefix .. 'due:' .. ARGV[1], 'XX', now + ARGV[4], ARGV[2])
return 1
