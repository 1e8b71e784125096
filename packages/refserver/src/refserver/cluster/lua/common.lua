-- What both scripts know: the keys of a room, its clock, its nodes, and how a new epoch begins.
--
-- Rule: a script reads, then adds at most one record to the stream, then writes the rest. Redis
-- does not undo what a failing script wrote.

local ROOM, STREAM, NODES, CALLS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local CONNECTIONS, NAMES, TICKETS = KEYS[5], KEYS[6], KEYS[7]
local MEMBERS, RELEASED, OWNED, HELD, PASSED = KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]

local ENTRY_CHARGE = 100
local MOST_BEHIND = 64 * 1024 * 1024

local function int(number) return string.format('%.0f', number) end

local function pairs_of(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function words(line)
  local found = {}
  for word in string.gmatch(line, '%S+') do found[#found + 1] = word end
  return found
end

local function split_id(id)
  local position, sub = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(position), tonumber(sub)
end

local function is_after(left, right) -- whether the id `left` is greater
  local a, b = split_id(left)
  local c, d = split_id(right)
  return a > c or (a == c and b > d)
end

-- The clock of the room does not jump: neither with the engine's, nor while the engine is frozen.
local function tick(room)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local passed = math.max(0, now - tonumber(room.at))
  room.clock = int(tonumber(room.clock) + math.min(passed, math.floor(tonumber(room.lease) / 3)))
  room.at = int(now)
end

-- A node: until when its lease runs, what it has read, live | stopping | fenced, and whether it
-- has vouched for its place since the engine was started. The lease of a fenced node is 0 until
-- the stream says so, then -1.
local function nodes_of()
  local nodes = {}
  for node, line in pairs(pairs_of(NODES)) do
    local each = words(line)
    nodes[node] = { deadline = tonumber(each[1]), place = each[2], state = each[3],
                    vouched = each[4] == '1' }
  end
  return nodes
end

local function write_node(node, row)
  local vouched = row.vouched and '1' or '0'
  redis.call('HSET', NODES, node,
    int(row.deadline) .. ' ' .. row.place .. ' ' .. row.state .. ' ' .. vouched)
end

local function write_room(room)
  local flat = {}
  for name, value in pairs(room) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call('HSET', ROOM, unpack(flat))
end

-- A room that nobody knows: no history, no member, no ticket of what was there before.
local function begin_epoch(epoch, run_id, config, presence, log_bytes, lease)
  redis.call('DEL', unpack(KEYS))
  local time = redis.call('TIME')
  local room = {
    epoch = epoch, run_id = run_id, config = config, presence = presence, log_bytes = log_bytes,
    lease = lease, clock = '0', first = '1', sub = '0', last = '0-0', guests = '0',
    released = '0', held = '0', passed = '0', digest = redis.sha1hex(epoch),
    at = int(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
  }
  room['end'] = '0'
  write_room(room)
  return room
end
