-- Note that a kind of process is alive, at the store's time.
--
-- KEYS  the prefix of every key
-- ARGV  process

local clock = redis.call('TIME')
redis.call('HSET', KEYS[1] .. 'beats', ARGV[1], clock[1] * 1000 + math.floor(clock[2] / 1000))
return 1
