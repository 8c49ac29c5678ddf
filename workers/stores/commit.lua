-- Apply one commit whole, or refuse it and change nothing.
--
-- KEYS  the prefix of every key
-- ARGV  id, at, tolerance, before, lane, member, fence, lease_until (times in ms; '' for "none"), then the sections
--       below: each a count of rows, then the rows, flat
-- Reply the store's time in ms when the commit stands; otherwise {error, detail …}
--
-- Everything is checked before anything is written: a script that fails half-way is not rolled back. Bodies pass
-- through as they came; cjson would turn [] into {} and round long integers.

local call, prefix = redis.call, KEYS[1]
local id, at, tolerance, before, lane, member, fence, lease_until = unpack(ARGV, 1, 8)
local cursor = 9

local function section(width)
  local first = cursor + 1
  local last = cursor + ARGV[cursor] * width
  cursor = last + 1
  return function()
    local row = first - width
    return function()
      row = row + width
      if row <= last then return unpack(ARGV, row, row + width - 1) end
    end
  end
end

local expects, heads, unique, limits = section(2), section(2), section(2), section(2)
local puts, entries, events = section(2), section(2), section(1)
local undue, due = section(2), section(3)
local forget, leave, enter = section(2), section(2), section(3)
local sealed, counts, wakes = section(3), section(2), section(1)
local texts, erase = section(3), section(2)

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local cut = call('EXISTS', prefix .. 'cut') == 1
local function taken_out(subject) -- how many of a chain's first records are no longer in the log
  local head = cut and call('HGET', prefix .. 'cut', subject)
  return head and tonumber(string.match(head, '^%d+')) or 0
end

-- Check. A commit that is found in a record, or by its mark, has won before: its answer was lost.
local ids, versions, conflict, record, mark = {}, {}, nil, prefix .. 'record:', nil
for key, version in expects() do
  local stored = call('HMGET', record .. key, 'v', 'c')
  ids[key], versions[key] = stored[2] or '', version
  if string.find(' ' .. ids[key], ' ' .. id .. ' ', 1, true) then return now end
  if (stored[1] or '0') ~= version then conflict = conflict or key end
end
if not puts()() then
  mark = prefix .. 'commit:' .. id
  if call('EXISTS', mark) == 1 then return now end
end
if member ~= '' and call('HGET', prefix .. 'claims', member) ~= fence then return {'fenced'} end
if math.abs(now - at) > tonumber(tolerance) then return {'conflict', 'time'} end
if before ~= '' and now >= tonumber(before) then return {'late'} end
if conflict then return {'conflict', conflict} end
for subject, length in heads() do
  local last = tonumber(length)
  if last ~= call('LLEN', prefix .. 'audit:' .. subject) + taken_out(subject) then
    return {'conflict', 'audit:' .. subject}
  end
end
for name in unique() do
  local value = call('GET', prefix .. 'name:' .. name)
  if value then return {'taken', name, value} end
end
for index, most in limits() do
  if call('ZCARD', prefix .. 'index:' .. index) >= tonumber(most) then return {'full', index} end
end

-- Write. A record keeps the ids of its last eight commits, so that a resend is known even when others followed.
for key, json in puts() do
  local last_ids = string.sub(id .. ' ' .. ids[key], 1, 8 * (#id + 1))
  call('HSET', record .. key, 'v', versions[key] + 1, 'c', last_ids, 'j', json)
end
if mark then call('SET', mark, '', 'PX', 60000) end
for subject, body in entries() do
  local n = call('RPUSH', prefix .. 'audit:' .. subject, body) + taken_out(subject)
  call('RPUSH', prefix .. 'log', subject .. ' ' .. n)
end
for subject, commitment, held in texts() do call('HSET', prefix .. 'texts:' .. subject, commitment, held) end
for subject, commitment in erase() do call('HDEL', prefix .. 'texts:' .. subject, commitment) end

local ring = events()() and call('XLEN', prefix .. 'outbox') == 0
for event in events() do call('XADD', prefix .. 'outbox', '*', 'e', event) end

if member ~= '' then
  if lease_until ~= '' then
    call('ZADD', prefix .. 'due:' .. lane, 'XX', lease_until, member)
  else
    call('ZREM', prefix .. 'due:' .. lane, member)
    call('HDEL', prefix .. 'claims', member)
  end
end
for of, item in undue() do
  call('ZREM', prefix .. 'due:' .. of, item)
  call('HDEL', prefix .. 'claims', item)
end
local roused = {}
for of, item, moment in due() do
  call('ZADD', prefix .. 'due:' .. of, moment, item)
  call('HDEL', prefix .. 'claims', item) -- an attempt under way began on older terms: fence it off
  if tonumber(moment) <= now + 1000 then roused[of] = true end -- later ones are seen in time: nobody waits over 1 s
end
for of in pairs(roused) do
  call('LPUSH', prefix .. 'wake:' .. of, 1)
  call('LTRIM', prefix .. 'wake:' .. of, 0, 15)
end

for name, value in unique() do call('SET', prefix .. 'name:' .. name, value) end
for name, moment in forget() do
  if moment == '' then
    call('DEL', prefix .. 'name:' .. name)
  else
    call('PEXPIREAT', prefix .. 'name:' .. name, moment)
  end
end
for index, item in leave() do call('ZREM', prefix .. 'index:' .. index, item) end
for index, item, moment in enter() do call('ZADD', prefix .. 'index:' .. index, moment, item) end
for grant, ciphertext, moment in sealed() do
  if moment == '' then
    call('DEL', prefix .. 'sealed:' .. grant)
  else
    call('SET', prefix .. 'sealed:' .. grant, ciphertext, 'PXAT', moment)
  end
end
for counter, by in counts() do call('HINCRBY', prefix .. 'stats', counter, by) end

if ring then call('PUBLISH', prefix .. 'changed', 'outbox') end
for key in wakes() do call('PUBLISH', prefix .. 'changed', key .. ' ' .. versions[key] + 1) end
return now
