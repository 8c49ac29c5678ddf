-- Read records and chain heads as of one moment.
--
-- KEYS  the prefix of every key
-- ARGV  how many record keys, the record keys, then subjects of chains
-- Reply the time in ms, then for each record its version and JSON, for each chain its length and last body; for one whose
-- every record was taken out of the log, its length and '=' with the hash of the last

local call, prefix = redis.call, KEYS[1]
local clock = call('TIME')
local reply = {clock[1] * 1000 + math.floor(clock[2] / 1000)}
local records = ARGV[1] + 1
for i = 2, #ARGV do
  if i <= records then
    local stored = call('HMGET', prefix .. 'record:' .. ARGV[i], 'v', 'j')
    reply[#reply + 1] = stored[1] or '0'
    reply[#reply + 1] = stored[2] or ''
  else
    local chain = prefix .. 'audit:' .. ARGV[i]
    local n, prev = 0, ''
    local head = call('HGET', prefix .. 'cut', ARGV[i])
    if head then n, prev = string.match(head, '^(%d+) (.*)$') end
    reply[#reply + 1] = call('LLEN', chain) + n
    reply[#reply + 1] = call('LINDEX', chain, -1) or (head and '=' .. prev) or ''
  end
end
return reply
