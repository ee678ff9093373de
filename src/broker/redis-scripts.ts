import { script } from '../redis/script.ts'

/**
 * Functions of the scripts about a room. A room's meta is `<epoch> <offset> <time> <run ID> <renew> <trim>`: the
 * position, the time of the latest message, the run ID of the server that assigned the offsets, the time to renew the
 * expiry of the keys, and the time at which the oldest message may be too old. A message is the stream entry
 * `<epoch>-<offset>`, whose only field holds `<time>\n<body>`. Instants are ms since 1970, by the clock of the server.
 */
const ROOM = `
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua would print 1e+14.
local function int(number)
  return string.format('%.0f', number)
end

-- What the meta says; nothing when there is none, when it is not ours, or when another server, or an older state of
-- this one, gave out the offsets: they might be given out again.
local function read_meta(run)
  local meta = redis.pcall('GET', KEYS[1])
  if type(meta) ~= 'string' then return nil end
  local epoch, offset, time, of, renew, trim = string.match(meta, '^(%d+) (%d+) (%d+) (%S+) (%d+) (%d+)$')
  if of ~= run then return nil end
  return epoch, tonumber(offset), tonumber(time), tonumber(renew), tonumber(trim)
end

local function write_meta(epoch, offset, time, run, renew, trim, lifetime)
  redis.call('SET', KEYS[1], table.concat({ epoch, offset, int(time), run, int(renew), int(trim) }, ' '), 'PX', lifetime)
end

-- The position of a room; a room that never was, or whose state is not what it should be, starts a new epoch.
local function ensure(run, candidate, lifetime)
  local epoch, offset, time, renew, trim = read_meta(run)
  local now = math.max(clock(), time or 0)
  if epoch and (offset == 0 or type(redis.pcall('XLEN', KEYS[2])) == 'number' and redis.call('EXISTS', KEYS[2]) == 1) then
    return epoch, offset, now, trim
  end
  redis.call('DEL', KEYS[1], KEYS[2])
  write_meta(candidate, 0, now, run, 0, 0, lifetime)
  return candidate, 0, now, 0
end

-- Takes the messages that are older than an age, ten at a time, at most 'rounds' times; returns when to look again.
local function trim_old(now, age, rounds)
  for _ = 1, rounds do
    local entries = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 10)
    if #entries == 0 then return now + age end
    for i, entry in ipairs(entries) do
      local time = tonumber(string.match(entry[2][2], '^%d+'))
      if time > now - age then
        if i > 1 then redis.call('XTRIM', KEYS[2], 'MINID', '=', entry[1]) end
        return math.max(time + age, now + 1000)
      end
    end
    local epoch, offset = string.match(entries[#entries][1], '^(%d+)-(%d+)$')
    redis.call('XTRIM', KEYS[2], 'MINID', '=', epoch .. '-' .. int(offset + 1))
  end
  return now
end
`

/** Functions of the scripts that publish. */
const AUDIENCE = `
local function audience_of(key)
  local counts = redis.pcall('HVALS', key)
  local sum = 0
  if counts.err then return sum end
  for _, count in ipairs(counts) do sum = sum + (tonumber(count) or 0) end
  return sum
end

-- The answer to an earlier publish with the same key, or 'C' when that was another message; and its epoch.
local function remembered(key, fingerprint)
  local answer = redis.pcall('GET', key)
  if type(answer) ~= 'string' then
    if answer then redis.call('DEL', key) end
    return nil
  end
  local of, rest, epoch = string.match(answer, '^(%S+) ((%S+).*)$')
  return of == fingerprint and 'R ' .. rest or 'C', epoch
end
`

/**
 * Puts a message into a room.
 *
 * KEYS meta, stream, remembered answer, occupancy
 * ARGV run ID, candidate for a new epoch, body, channel, PUBLISH or SPUBLISH, fingerprint, ms to remember the answer (0 for
 * a replay or nothing), size of the history, its age, ms, lifetime of the position, ms
 * Returns `P <epoch> <offset> <time> <audience>`, the same with R for a replay, C for a conflict, or N for a refused new key.
 */
export const PUBLISH = script(`${ROOM}${AUDIENCE}
local age, lifetime = tonumber(ARGV[9]), tonumber(ARGV[10])
local epoch, offset, time, renew, trim = read_meta(ARGV[1])
-- What was answered in another epoch is not in the history any more.
local known, of = remembered(KEYS[3], ARGV[6])
if known and of == epoch then return known end
if ARGV[7] == '0' then return 'N' end

local now = math.max(clock(), time or 0)
local content = int(now) .. '\\n' .. ARGV[3]

-- Before every other write: a script that fails is not rolled back.
local id
if epoch then
  id = redis.pcall('XADD', KEYS[2], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[8], epoch .. '-*', 'm', content)
  if not id and offset == 0 then id = redis.pcall('XADD', KEYS[2], epoch .. '-1', 'm', content) end
  if type(id) == 'table' then
    -- Anything but a key that is not a stream, or a stream of another epoch, is no reason to throw it away.
    if not string.find(id.err, 'WRONGTYPE', 1, true) and not string.find(id.err, 'smaller', 1, true) then return id end
    id = nil
  elseif id and string.find(id, '%-0$') then
    id = nil
  end
end
if not id then
  redis.call('DEL', KEYS[2])
  epoch, renew, trim = ARGV[2], 0, now + age
  id = redis.call('XADD', KEYS[2], epoch .. '-1', 'm', content)
end
offset = string.match(id, '%d+$')

if trim == 0 then trim = now + age end
if now >= trim then trim = trim_old(now, age, 10) end
if now >= renew then
  renew = now + lifetime / 2
  redis.call('PEXPIRE', KEYS[2], int(lifetime * 1.5)) -- Never gone before the meta.
end
write_meta(epoch, offset, now, ARGV[1], renew, trim, ARGV[10])
redis.call(ARGV[5], ARGV[4], '\\1m' .. id .. ' ' .. content)
local answer = table.concat({ epoch, offset, int(now), audience_of(KEYS[4]) }, ' ')
redis.call('SET', KEYS[3], ARGV[6] .. ' ' .. answer, 'PX', ARGV[7])
return 'P ' .. answer
`, 'always')

/**
 * Sends a message to a room without history.
 *
 * KEYS remembered answer, occupancy
 * ARGV run ID, body, channel, PUBLISH or SPUBLISH, fingerprint, ms to remember the answer (0 for a replay or nothing)
 * Returns a reply as `PUBLISH` does, with - for epoch and offset.
 */
export const PUBLISH_UNKEPT = script(`${ROOM}${AUDIENCE}
local known = remembered(KEYS[1], ARGV[5])
if known then return known end
if ARGV[6] == '0' then return 'N' end
local now = int(clock())
local answer = '- - ' .. now .. ' ' .. audience_of(KEYS[2])
redis.call('SET', KEYS[1], ARGV[5] .. ' ' .. answer, 'PX', ARGV[6])
redis.call(ARGV[4], ARGV[3], '\\1m- ' .. now .. '\\n' .. ARGV[2])
return 'P ' .. answer
`, 'same run')

/**
 * Reads the position of a room.
 *
 * KEYS meta, stream
 * ARGV run ID, candidate for a new epoch, least time to keep the position, ms, the delivered epoch and offset or two
 * empty strings. A position below the delivered one is older than the members' position and starts a new epoch.
 * Returns `<epoch> <offset>`.
 */
export const POSITION = script(`${ROOM}
local epoch, offset = ensure(ARGV[1], ARGV[2], ARGV[3])
if epoch == ARGV[4] and offset < tonumber(ARGV[5]) then
  redis.call('DEL', KEYS[1], KEYS[2])
  epoch, offset = ensure(ARGV[1], ARGV[2], ARGV[3])
end
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left < ARGV[3] / 2 then redis.call('PEXPIRE', key, ARGV[3]) end
end
return epoch .. ' ' .. int(offset)
`, 'always')

/**
 * Reads a part of a room's history.
 *
 * KEYS meta, stream
 * ARGV run ID, candidate for a new epoch, time to keep it, ms, age of the history, ms, requested epoch or '', after or
 * '', before or '', largest number of messages, of bytes
 * Returns epoch, top, offset of the oldest message, 1 if there is another page, then offset and content of each message.
 */
export const HISTORY = script(`${ROOM}
local epoch, top, now, trim = ensure(ARGV[1], ARGV[2], ARGV[3])
if top > 0 and now >= trim then trim_old(now, tonumber(ARGV[4]), math.huge) end
local first = top + 1
if top > 0 then
  local entry = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  if entry then first = tonumber(string.match(entry[1], '%d+$')) end
end
local page = { epoch, int(top), int(first), 0 }
if ARGV[5] ~= '' and ARGV[5] ~= epoch then return page end

local after, before = tonumber(ARGV[6]), tonumber(ARGV[7])
local limit, room = tonumber(ARGV[8]), tonumber(ARGV[9])
local low = math.max(first, (after or 0) + 1)
local high = math.min(top, (before or math.huge) - 1)
local forwards = after ~= nil
local count = 0
while low <= high do
  local entries
  local chunk = math.min(32, limit + 1 - count)
  if forwards then entries = redis.call('XRANGE', KEYS[2], epoch .. '-' .. int(low), epoch .. '-' .. int(high), 'COUNT', chunk)
  else entries = redis.call('XREVRANGE', KEYS[2], epoch .. '-' .. int(high), epoch .. '-' .. int(low), 'COUNT', chunk) end
  if #entries == 0 then return page end
  for _, entry in ipairs(entries) do
    local content = entry[2][2]
    room = room - #content - 200
    if count == limit or (count > 0 and room < 0) then
      page[4] = 1
      return page
    end
    local offset = string.match(entry[1], '%d+$')
    count = count + 1
    page[#page + 1] = offset
    page[#page + 1] = content
    if forwards then low = offset + 1 else high = offset - 1 end
  end
end
return page
`, 'always')

/**
 * Removes a room's messages. The stream remembers the position.
 *
 * KEYS stream
 */
export const FORGET = script(`
local trimmed = redis.pcall('XTRIM', KEYS[1], 'MAXLEN', '=', 0)
if type(trimmed) == 'table' then redis.call('DEL', KEYS[1]) end
return 1
`, 'always')
