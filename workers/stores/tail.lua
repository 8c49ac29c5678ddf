-- Read the log over all subjects. It holds references; the bodies are in the subjects' chains, once. Positions count all
-- records that ever were; the first ones may have been taken out.
--
-- KEYS  the prefix of every key
-- ARGV  position to go on behind, the most records
-- Reply the bodies; or how many records were taken out, where the position lies before that

local call, prefix = redis.call, KEYS[1]
local size = tonumber(call('HGET', prefix .. 'base', 'size') or 0)
local first = ARGV[1] - size
if first < 0 then return size end
local bodies = {}
for i, reference in ipairs(call('LRANGE', prefix .. 'log', first, first + ARGV[2] - 1)) do
  local subject, n = string.match(reference, '^(.*) (%d+)$')
  local head = size > 0 and call('HGET', prefix .. 'cut', subject)
  local cut = head and tonumber(string.match(head, '^%d+')) or 0
  bodies[i] = call('LINDEX', prefix .. 'audit:' .. subject, n - cut - 1)
end
return bodies
