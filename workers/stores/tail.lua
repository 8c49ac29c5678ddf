-- Read the log over all subjects. It holds references; the bodies are in the subjects' chains, once.
--
-- KEYS  the prefix of every key
-- ARGV  position to go on behind, the most records
-- Reply the bodies

local bodies = {}
for i, reference in ipairs(redis.call('LRANGE', KEYS[1] .. 'log', ARGV[1], ARGV[1] + ARGV[2] - 1)) do
  local subject, n = string.match(reference, '^(.*) (%d+)$')
  bodies[i] = redis.call('LINDEX', KEYS[1] .. 'audit:' .. subject, n - 1)
end
return bodies
