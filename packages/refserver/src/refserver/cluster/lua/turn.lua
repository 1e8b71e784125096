-- turn: all that one node's members asked for in one turn, as one record of the stream.
--
-- ARGV: epoch, node, number, what the node has read, then the operations, each its word and its
--       arguments (see cluster/calls.py)
-- Returns OK with a header line and an answer line for each operation;
--         EPOCH | RECOVERING | FENCED | LOST.

local LOST = 1
local MOST_LEAVES = 256
local FACT = 17 -- bytes of a Joined beside the name; a Left has one more

local epoch, node, number, place = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local room = pairs_of(ROOM)
if room.epoch ~= epoch then return { 'EPOCH' } end
local nodes = nodes_of()
for _, each in pairs(nodes) do
  if each.state ~= 'fenced' and not each.vouched then return { 'RECOVERING' } end
end
local row = nodes[node]
if not row or row.state == 'fenced' then return { 'FENCED' } end
local stored = redis.call('HGET', CALLS, node)
local last = tonumber(string.match(stored, '^%d+'))
if number == last then return { 'OK', string.sub(stored, string.find(stored, '\n') + 1) } end
if number ~= last + 1 then return { 'LOST' } end
tick(room)
local clock = tonumber(room.clock)
row.deadline, row.place = clock + tonumber(room.lease), place

-- ------------------------------------------------------------------ what this call changes

local changed = {}
local function get(key, field)
  local own = changed[key]
  if own and own[field] ~= nil then return own[field] end
  return redis.call('HGET', key, field)
end
local function set(key, field, value) -- false: it goes
  changed[key] = changed[key] or {}
  changed[key][field] = value
end

local before = tonumber(room['end'])
local finish, guests, presence = before, tonumber(room.guests), room.presence == '1'
local items, size, answers, tickets = {}, 0, {}, {}

local function item(kind, text)
  items[#items + 1] = kind .. struct.pack('>I2', #answers) .. text
end
local function short(text) return string.char(#text) .. text end
local function fact(user, more)
  if presence then
    finish = finish + 1
    size = size + FACT + more + #user + ENTRY_CHARGE
  end
end

-- A ticket: since when it reads, its connection, the key of its name, its name.
local function ticket_of(digest)
  local line = get(TICKETS, digest)
  if not line then return nil end
  local since, connection, key, user = string.match(line, '^(%d+)\n([^\n]*)\n([^\n]*)\n(.*)$')
  return { since = tonumber(since), connection = connection, key = key, user = user }
end
local function keep_ticket(digest, it)
  set(TICKETS, digest, int(it.since) .. '\n' .. it.connection .. '\n' .. it.key .. '\n' .. it.user)
end
local function is_own(connection)
  return string.sub(connection, 1, #node + 1) == node .. '-' and get(CONNECTIONS, connection)
end

local function join(connection, digest, it)
  item('J', short(connection) .. short(it.user))
  fact(it.user, 0)
  it.connection = connection
  set(CONNECTIONS, connection, digest)
  set(NAMES, it.key, connection)
  tickets[#tickets + 1] = { digest = digest, used = true }
end

local function part(connection, reason)
  local digest = get(CONNECTIONS, connection)
  local it = ticket_of(digest)
  item('L', short(connection) .. string.char(reason) .. short(it.user))
  fact(it.user, 1)
  set(CONNECTIONS, connection, false)
  set(NAMES, it.key, false)
  it.connection = ''
  keep_ticket(digest, it)
  tickets[#tickets + 1] = { digest = digest, key = it.key }
  return it
end

-- The members of a node leave, so many in one call; returns how many are left.
local function part_all(name)
  local prefix, left = name .. '-', 0
  local all = redis.call('ZRANGEBYLEX', MEMBERS, '[' .. prefix, '(' .. name .. '.')
  for connection, digest in pairs(changed[CONNECTIONS] or {}) do -- who came in this very call
    if digest and string.sub(connection, 1, #prefix) == prefix then all[#all + 1] = connection end
  end
  table.sort(all)
  for _, connection in ipairs(all) do
    if get(CONNECTIONS, connection) then
      if left == 0 and #items < MOST_LEAVES then part(connection, LOST) else left = left + 1 end
    end
  end
  return left
end

-- The first position that is kept when so many bytes more have been entered, how many of the
-- records in HELD go for it, and what is held then.
local function first_with(more)
  local held, first, gone = tonumber(room.held) + more, tonumber(room.first), 0
  local oldest = redis.call('LINDEX', HELD, 0)
  while oldest do
    local each = words(oldest)
    if held - tonumber(each[2]) < tonumber(room.log_bytes) then break end
    held, first, gone = held - tonumber(each[2]), split_id(each[1]) + 1, gone + 1
    oldest = redis.call('LINDEX', HELD, gone)
  end
  return first, gone, held
end

-- ------------------------------------------------------------------ the operations

local at = 4
local function argument()
  at = at + 1
  return ARGV[at]
end

local finished = {} -- nodes whose last member leaves in this call
local operations = {}

function operations.say()
  local connection, count, frames = argument(), tonumber(argument()), argument()
  if not is_own(connection) then return 'GONE' end
  item('S', short(connection) .. struct.pack('>I4', count) .. struct.pack('>I4', #frames) .. frames)
  finish = finish + count
  size = size + #frames + ENTRY_CHARGE * count
  return int(finish)
end

function operations.mark() return int(finish) end

function operations.enter()
  local connection, key, digest, user = argument(), argument(), argument(), argument()
  if user == '' then
    repeat
      guests = guests + 1
      key = GUEST .. int(guests)
    until not get(NAMES, key)
    user = key
  end
  if get(NAMES, key) or get(TICKETS, digest) then return 'USER_TAKEN' end
  local it = { since = 0, key = key, user = user }
  join(connection, digest, it)
  it.since = finish
  keep_ticket(digest, it)
  return int(finish) .. ' ' .. user
end

function operations.resume()
  local connection, digest, user = argument(), argument(), argument()
  local position = tonumber(argument())
  local it = ticket_of(digest)
  if not it or (user ~= '' and user ~= it.user) then return 'HISTORY_GONE' end
  if position < it.since or position > finish then return 'HISTORY_GONE' end
  local made = 0
  if presence then made = FACT + #it.user + ENTRY_CHARGE end
  if presence and it.connection ~= '' then made = 2 * made + 1 end
  if position < first_with(size + made) - 1 then return 'HISTORY_GONE' end
  local holder = get(NAMES, it.key)
  if holder and holder ~= it.connection then return 'USER_TAKEN' end
  if it.connection ~= '' then it = part(it.connection, LOST) end
  join(connection, digest, it)
  keep_ticket(digest, it)
  return int(finish) .. ' ' .. it.user
end

function operations.leave()
  local connection, reason = argument(), tonumber(argument())
  if not is_own(connection) then return 'GONE' end
  part(connection, reason)
  return int(finish)
end

function operations.reap()
  local victim = argument()
  local other = nodes[victim]
  if victim == node or not other or row.state ~= 'live' then return '0' end
  if other.state ~= 'fenced' and other.deadline >= clock then return '0' end
  if other.deadline >= 0 then item('F', short(victim)) end
  other.state, other.deadline = 'fenced', -1
  local left = part_all(victim)
  if left == 0 then finished[victim] = true end
  return int(left)
end

function operations.retire()
  if row.state == 'live' then -- it only says so: others may be about to say the same
    row.state = 'stopping'
    return '0'
  end
  local stays = false
  for name, other in pairs(nodes) do
    if name ~= node and other.state == 'live' and other.deadline >= clock then stays = true end
  end
  if not stays then
    row.state, row.deadline = 'fenced', 0
    return '0'
  end
  local left = part_all(node)
  if left == 0 then finished[node] = true end
  return int(left)
end

while at < #ARGV do
  local answer = operations[argument()]()
  answers[#answers + 1] = answer
end

-- ------------------------------------------------------------------ one record, then the rest

local id = '-'
local kept = table.concat(answers, '\n')
local first, gone, held = tonumber(room.first), 0, tonumber(room.held)
if #items > 0 then
  local sub = 0
  if finish == before then sub = tonumber(room.sub) + 1 end
  id = int(finish) .. '-' .. int(sub)
  if finish == before then size = ENTRY_CHARGE end
  first, gone, held = first_with(size)
  local digest, told = room.digest, int(first)
  local payload = table.concat(items)
  redis.call('XADD', STREAM, id, 'digest', digest, 'first', told, 'node', node,
    'number', ARGV[3], 'answers', kept, 'items', payload)
  room.digest = redis.sha1hex(table.concat({ digest, id, told, node, ARGV[3], kept, payload }, '\n'))
  room.sub, room.last, room['end'] = int(sub), id, int(finish)
  room.first, room.guests = told, int(guests)
end

local passed, trimmed = tonumber(room.passed), false
if id ~= '-' then
  redis.call('RPUSH', HELD, id .. ' ' .. int(size))
  for _ = 1, gone do
    local each = redis.call('LPOP', HELD)
    redis.call('RPUSH', PASSED, each)
    passed = passed + tonumber(words(each)[2])
  end
end
local oldest = redis.call('LINDEX', PASSED, 0)
while oldest do
  local each, wanted = words(oldest), passed > MOST_BEHIND
  if not wanted then
    wanted = true
    for _, other in pairs(nodes) do
      if other.state ~= 'fenced' and is_after(each[1], other.place) then wanted = false end
    end
  end
  if not wanted then break end
  redis.call('LPOP', PASSED)
  passed, trimmed = passed - tonumber(each[2]), true
  oldest = redis.call('LINDEX', PASSED, 0)
end
if trimmed then
  local stays = redis.call('LINDEX', PASSED, 0) or redis.call('LINDEX', HELD, 0)
  redis.call('XTRIM', STREAM, 'MINID', words(stays)[1])
end
room.held, room.passed = int(held), int(passed)

for key, fields in pairs(changed) do
  for field, value in pairs(fields) do
    if value then redis.call('HSET', key, field, value) else redis.call('HDEL', key, field) end
    if key == CONNECTIONS then
      if value then redis.call('ZADD', MEMBERS, 0, field) else redis.call('ZREM', MEMBERS, field) end
    end
  end
end

-- Each owner forgets its own oldest ticket first; see session/tickets.py.
local function forget(digest, owner, turn)
  redis.call('ZREM', RELEASED, digest)
  redis.call('ZREM', OWNED, owner .. '\n' .. turn .. '\n' .. digest)
end
local function owner_of(key)
  if string.sub(key, 1, #GUEST) == GUEST then return GUEST, KEPT_BY_GUESTS end
  return key, KEPT_BY_USER
end
for _, each in ipairs(tickets) do
  if each.used then
    local turn = redis.call('ZSCORE', RELEASED, each.digest)
    if turn then
      local owner = owner_of(ticket_of(each.digest).key)
      forget(each.digest, owner, string.format('%016.0f', tonumber(turn)))
    end
  elseif redis.call('HEXISTS', TICKETS, each.digest) == 1 then -- else it was just forgotten
    local owner, most = owner_of(each.key)
    room.released = int(tonumber(room.released) + 1)
    local turn = string.format('%016.0f', tonumber(room.released))
    redis.call('ZADD', RELEASED, room.released, each.digest)
    redis.call('ZADD', OWNED, 0, owner .. '\n' .. turn .. '\n' .. each.digest)
    local from, to = '[' .. owner .. '\n', '(' .. owner .. '\11'
    local oldest = nil
    if redis.call('ZLEXCOUNT', OWNED, from, to) > most then
      oldest = redis.call('ZRANGEBYLEX', OWNED, from, to, 'LIMIT', 0, 1)[1]
      oldest = string.match(oldest, '([^\n]*)$')
    elseif redis.call('ZCARD', RELEASED) > KEPT then
      oldest = redis.call('ZRANGE', RELEASED, 0, 0)[1]
    end
    if oldest then
      local when = string.format('%016.0f', tonumber(redis.call('ZSCORE', RELEASED, oldest)))
      local it = ticket_of(oldest)
      forget(oldest, (owner_of(it.key)), when)
      if it.connection == '' then redis.call('HDEL', TICKETS, oldest) end
    end
  end
end

local expired = {}
for name, other in pairs(row.state == 'live' and nodes or {}) do -- who stops lets nobody leave
  if name ~= node and (other.state == 'fenced' or other.deadline < clock) and not finished[name] then
    expired[#expired + 1] = name
  end
end
table.sort(expired)
local header = table.concat({ int(finish), int(first), room.last, room.digest, id }, ' ')
local blob = header .. ' ' .. table.concat(expired, ',') .. '\n' .. kept
for name, each in pairs(nodes) do
  if not finished[name] then write_node(name, each) end
end
redis.call('HSET', CALLS, node, int(number) .. '\n' .. blob)
for name in pairs(finished) do
  redis.call('HDEL', NODES, name)
  redis.call('HDEL', CALLS, name)
end
write_room(room)
return { 'OK', blob }
