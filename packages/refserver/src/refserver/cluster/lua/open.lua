-- open: a node comes, or comes back on a new connection to the engine.
--
-- ARGV: node, epoch (empty: it comes), number, place, digest, told, digest there, run_id, durable,
--       a new epoch, config, presence, log_bytes, lease
--       place is what it has read, told what the engine has told it of
-- Returns OK with epoch, end, first, and where to read from with the digest there;
--         FENCED with the last id; CONFIG | RECOVERING | LOST | EPOCH.

local node, epoch, number = ARGV[1], ARGV[2], tonumber(ARGV[3])
local place, digest, told, told_digest = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local run_id, durable, fresh_epoch, config = ARGV[8], ARGV[9] == '1', ARGV[10], ARGV[11]
local presence, log_bytes, lease = ARGV[12], ARGV[13], ARGV[14]

local function begin()
  return begin_epoch(fresh_epoch, run_id, config, presence, log_bytes, lease)
end

-- The digest of all up to `id`, as the record behind it tells; nothing where that is gone.
local function digest_at(id, room)
  if id == room.last then return room.digest end
  local behind = redis.call('XRANGE', STREAM, '(' .. id, '+', 'COUNT', 1)[1]
  return behind and behind[2][2]
end

-- Whether all up to `id` is what a node knows it to be: same | trimmed | diverged.
local function verify(id, known, room)
  if is_after(id, room.last) then return 'diverged' end
  if digest_at(id, room) == known then return 'same' end
  local oldest = redis.call('XRANGE', STREAM, '-', '+', 'COUNT', 1)[1]
  return oldest and is_after(oldest[1], id) and 'trimmed' or 'diverged'
end

local room, nodes = pairs_of(ROOM), nil
local comes = epoch == ''
if not room.epoch then
  if not comes then return { 'EPOCH' } end
  room, nodes = begin(), {}
else
  nodes = nodes_of()
  if not comes and epoch ~= room.epoch then return { 'EPOCH' } end
  tick(room)
end

-- Does what it has read stand in the stream? Then the engine has not lost anything of it.
local row = nodes[node]
if not comes then
  local read = verify(place, digest, room)
  if read == 'diverged' or verify(told, told_digest, room) == 'diverged' then
    begin()
    return { 'LOST' }
  end
  local gone = read == 'trimmed'
  if row and row.state ~= 'fenced' then
    if gone then
      row.state, row.deadline = 'fenced', 0
      write_node(node, row)
    else
      local last = tonumber(string.match(redis.call('HGET', CALLS, node), '^%d+'))
      if last ~= number and last ~= number + 1 then
        begin()
        return { 'LOST' }
      end
    end
  end
  if gone or not row or row.state == 'fenced' then
    write_room(room)
    return { 'FENCED', room.last }
  end
end

-- Another process than before answers: every node that holds a lease must vouch for its place.
local restarted, holders = run_id ~= room.run_id, 0
for name, each in pairs(nodes) do
  if each.state ~= 'fenced' then
    holders = holders + 1
    if restarted then each.vouched = false end
  end
end
if row then row.vouched = true end
local lost, waits, alive = restarted and holders == 0 and not durable, false, 0
for name, each in pairs(nodes) do
  if each.state ~= 'fenced' and name ~= node then
    local expired = each.deadline < tonumber(room.clock)
    if each.vouched then
      if not expired then alive = alive + 1 end
    elseif not expired then
      waits, alive = true, alive + 1
    elseif durable then
      each.state, each.deadline = 'fenced', 0
    else
      lost = true
    end
  end
end
local differs = config ~= room.config
if lost or (differs and alive == 0 and comes) then
  room, nodes, waits, differs = begin(), {}, false, false
  if not comes then return { 'LOST' } end
end
if differs then return { 'CONFIG', room.config } end

room.run_id = run_id
if comes and not waits then
  local start = int(tonumber(room.first) - 1) .. '-0'
  row = { place = start, state = 'live', vouched = true }
  nodes[node] = row
  redis.call('HSET', CALLS, node, '0\n')
end
if row then row.deadline = tonumber(room.clock) + tonumber(room.lease) end
for name, each in pairs(nodes) do write_node(name, each) end
write_room(room)
if waits then return { 'RECOVERING' } end
return { 'OK', table.concat({ room.epoch, room['end'], room.first, row.place,
                              digest_at(row.place, room) or room.digest }, ' ') }
