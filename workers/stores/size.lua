-- Return how many records the log has, with those that were taken out.
--
-- KEYS  the prefix of every key

return redis.call('LLEN', KEYS[1] .. 'log') + (redis.call('HGET', KEYS[1] .. 'base', 'size') or 0)
