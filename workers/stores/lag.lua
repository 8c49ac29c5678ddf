-- Say how long the oldest overdue item of each lane has waited.
--
-- KEYS  the prefix of every key
-- ARGV  lanes
-- Reply ms for each lane (0: nothing is overdue)

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local reply = {}
for i, lane in ipairs(ARGV) do
  local oldest = redis.call('ZRANGE', KEYS[1] .. 'due:' .. lane, 0, 0, 'WITHSCORES')[2]
  reply[i] = oldest and math.max(0, now - oldest) or 0
end
return reply
