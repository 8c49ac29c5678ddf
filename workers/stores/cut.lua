-- Take the first records out of the log, and with them what belongs to nothing else; all of it, or nothing.
--
-- KEYS  the prefix of every key
-- ARGV  how many were taken out before, how many are from now on, the tree's peaks there, then the sections below: each a
--       count of rows, then the rows, flat
-- Reply how many are taken out; otherwise {error, detail}
--
-- What a chain loses is counted here, by the log itself: the caller's word for it has to agree. `section` is that of
-- commit.lua: a script can load no other.

local call, prefix = redis.call, KEYS[1]
local before, size, peaks = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local cursor = 4

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

local heads, ended, idle = section(3), section(1), section(2)
local records, leave, erase = section(1), section(2), section(2)
local log, cut = prefix .. 'log', prefix .. 'cut'

-- Check
local here = tonumber(call('HGET', prefix .. 'base', 'size') or 0)
if here == size then return here end -- a resend
local references = call('LRANGE', log, 0, size - before - 1)
if here ~= before or #references ~= size - before then return {'conflict', 'base'} end
local left, count = {}, {} -- by subject: its last record that is taken out, and how many are
for _, reference in ipairs(references) do
  local subject, n = string.match(reference, '^(.*) (%d+)$')
  left[subject], count[subject] = tonumber(n), (count[subject] or 0) + 1
end
for subject, n in heads() do
  if left[subject] ~= tonumber(n) then return {'conflict', 'audit:' .. subject} end
  left[subject] = nil
end
for subject in ended() do
  if call('LLEN', prefix .. 'audit:' .. subject) ~= count[subject] then return {'conflict', 'audit:' .. subject} end
  left[subject] = nil
end
for subject in pairs(left) do return {'conflict', 'audit:' .. subject} end
for lane, member in idle() do
  if call('ZSCORE', prefix .. 'due:' .. lane, member) then return {'conflict', member} end
end

-- Write
call('LTRIM', log, #references, -1)
call('HSET', prefix .. 'base', 'size', size, 'peaks', peaks)
for subject, n, prev in heads() do
  call('LTRIM', prefix .. 'audit:' .. subject, count[subject], -1)
  call('HSET', cut, subject, n .. ' ' .. prev)
end
for subject in ended() do
  call('DEL', prefix .. 'audit:' .. subject, prefix .. 'texts:' .. subject)
  call('HDEL', cut, subject)
end
for subject, commitment in erase() do call('HDEL', prefix .. 'texts:' .. subject, commitment) end
for key in records() do call('DEL', prefix .. 'record:' .. key) end
for index, member in leave() do call('ZREM', prefix .. 'index:' .. index, member) end
return size
