-- Lease due items of a lane. An item stays in the due set; only its time moves.
--
-- KEYS  the prefix of every key
-- ARGV  lane, the most items, lease in ms
-- Reply the time in ms, ms until the next item is due (-1: there is none), the first fence, then the members; fences
--       count up from the first. One counter serves all, so that no number ever comes back.

local call, prefix = redis.call, KEYS[1]
local due = prefix .. 'due:' .. ARGV[1]
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local members = call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[2])
local first = 0
if #members > 0 then
  first = call('INCRBY', prefix .. 'fences', #members) - #members + 1
  for i, member in ipairs(members) do
    call('HSET', prefix .. 'claims', member, first + i - 1)
    call('ZADD', due, 'XX', now + ARGV[3], member)
  end
end
local next_one = call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
return {now, next_one and math.max(0, next_one - now) or -1, first, unpack(members)}
