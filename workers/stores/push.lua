-- Write jobs for RQ and put them into its queue.
--
-- KEYS  the prefix of RQ's own keys
-- ARGV  the queue's name, how long a job's hash is kept in seconds, how many fields each hash has, then for each job
--       its id and its fields, as name and value
-- Reply the queue's length

local call, prefix = redis.call, KEYS[1]
local queue, kept, width = prefix .. 'queue:' .. ARGV[1], ARGV[2], ARGV[3] * 2
call('SADD', prefix .. 'queues', queue)
for at = 4, #ARGV, width + 1 do
  local key = prefix .. 'job:' .. ARGV[at]
  call('HSET', key, unpack(ARGV, at + 1, at + width))
  call('EXPIRE', key, kept)
  call('RPUSH', queue, ARGV[at])
end
return call('LLEN', queue)
