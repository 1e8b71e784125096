-- A Wireshark dissector for Event Protocol 1.
--
-- Copy it into Wireshark's folder of personal Lua plugins (Help, About Wireshark, Folders), or
-- name it on the command line: tshark -X lua_script:eventproto.lua -r capture.pcapng
--
-- The tables above the line of dashes are made from the declarations of the events. What stands
-- below the line knows no event.

--[[ TABLES ]]

-------------------------------------------------------------------------------------------------

local LENGTH_SIZE, HEADER_SIZE = 4, 16
local MIN_LENGTH = HEADER_SIZE - LENGTH_SIZE

local proto = Proto("eventproto", "Event Protocol")

local type_names = {}
for number, event in pairs(EVENTS) do type_names[number] = event.name end

local f = {
    length = ProtoField.uint32("eventproto.length", "Length", base.DEC, nil, nil,
        "Bytes behind these four"),
    version = ProtoField.uint8("eventproto.version", "Version"),
    type = ProtoField.uint8("eventproto.type", "Type", base.HEX, type_names),
    reserved = ProtoField.uint16("eventproto.reserved", "Reserved", base.HEX),
    seq = ProtoField.uint64("eventproto.seq", "Seq", base.DEC, nil, nil,
        "A request's number, the number of the request that a reply answers, or a position"),
    body = ProtoField.bytes("eventproto.body", "Body"),
    size = ProtoField.uint16("eventproto.size", "Size in bytes", base.DEC),
    response_in = ProtoField.framenum("eventproto.response_in", "Reply in", base.NONE,
        frametype.RESPONSE),
    response_to = ProtoField.framenum("eventproto.response_to", "Reply to", base.NONE,
        frametype.REQUEST),
    time = ProtoField.relative_time("eventproto.time", "Time since the request"),
}

local makers = {
    unsigned = function(bits, filter, label, values)
        return ProtoField["uint" .. bits](filter, label, base.DEC, bits < 64 and values or nil)
    end,
    signed = function(bits, filter, label) return ProtoField["int" .. bits](filter, label) end,
    flag = function(_, filter, label) return ProtoField.bool(filter, label) end,
    text = function(_, filter, label) return ProtoField.string(filter, label, base.UNICODE) end,
    bytes = function(_, filter, label) return ProtoField.bytes(filter, label) end,
}

-- A field's filter name is that of its event and its own: eventproto.message.content.
local fields = {}
for _, field in pairs(f) do fields[#fields + 1] = field end
for _, event in pairs(EVENTS) do
    for _, part in ipairs(event.fields) do
        part.field = makers[part.kind](8 * part.size, "eventproto." .. event.filter .. "." .. part.name,
            part.name, part.values)
        fields[#fields + 1] = part.field
    end
end
proto.fields = fields

local function expert_of(name, text, group, severity)
    return ProtoExpert.new("eventproto.expert." .. name, text, group, severity)
end

local e = {
    malformed = expert_of("malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR),
    breach = expert_of("breach", "Against the protocol", expert.group.PROTOCOL, expert.severity.WARN),
    refused = expert_of("refused", "A request was refused", expert.group.RESPONSE_CODE,
        expert.severity.NOTE),
    unknown = expert_of("unknown", "Unknown type", expert.group.UNDECODED, expert.severity.NOTE),
}
proto.experts = { e.malformed, e.breach, e.refused, e.unknown }

local tcp_stream = Field.new("tcp.stream")

-- What was asked and is not answered yet: by stream, by the asking side's port, by seq.
local asked = {}
-- What a frame has to do with another: by capture frame and the place in it.
local links = {}

function proto.init()
    asked, links = {}, {}
end

local function is_utf8(bytes)
    local at, size = 0, bytes:len()
    while at < size do
        local lead = bytes:get_index(at)
        local more, least, most = 0, 0x80, 0xBF
        if lead < 0x80 then
            more = 0
        elseif lead >= 0xC2 and lead <= 0xDF then
            more = 1
        elseif lead >= 0xE0 and lead <= 0xEF then
            more = 2
            if lead == 0xE0 then least = 0xA0 elseif lead == 0xED then most = 0x9F end
        elseif lead >= 0xF0 and lead <= 0xF4 then
            more = 3
            if lead == 0xF0 then least = 0x90 elseif lead == 0xF4 then most = 0x8F end
        else
            return false
        end
        if at + more >= size then return false end
        for n = 1, more do
            local byte = bytes:get_index(at + n)
            if byte < least or byte > most then return false end
            least, most = 0x80, 0xBF
        end
        at = at + 1 + more
    end
    return true
end

local function malformed(tree, statement, text)
    tree:add_proto_expert_info(e.malformed, text .. " (" .. statement .. ")")
end

local function breach(tree, statement, text)
    tree:add_proto_expert_info(e.breach, text .. " (" .. statement .. ")")
end

-- One field of a body; gives the place behind it and its item, or nil where it does not fit.
local function add_part(tree, tvb, part, at, stop)
    if stop - at < part.size then
        malformed(tree, STATEMENTS.body_short, "the body ends before " .. part.name)
        return nil
    end
    if part.kind == "unsigned" or part.kind == "signed" or part.kind == "flag" then
        local range = tvb(at, part.size)
        local item = tree:add(part.field, range)
        if part.kind == "flag" and range:uint() > 1 then
            malformed(item, STATEMENTS.one_encoding, part.name .. " is neither 0 nor 1")
        end
        return at + part.size, item, range
    end
    local size = stop - at - part.size
    if part.size > 0 then
        local counted = tvb(at, part.size):uint()
        if counted > size then
            malformed(tree, STATEMENTS.inner_length,
                part.name .. " reaches beyond the body: " .. counted .. " bytes, and " .. size .. " are left")
            return nil
        end
        size = counted
    end
    at = at + part.size
    if size == 0 then
        return at, tree:add(part.field, tvb(at - part.size, part.size), "")
    end
    local range = tvb(at, size)
    if part.kind == "bytes" then return at + size, tree:add(part.field, range), range end
    local item = tree:add_packet_field(part.field, range, ENC_UTF_8 + ENC_STRING)
    if not is_utf8(range:bytes()) then
        malformed(item, STATEMENTS.utf8, part.name .. " is not UTF-8")
    end
    return at + size, item, range
end

local function event_of(number)
    local event = EVENTS[number]
    if event then return event end
    return number >= 0x80 and APPLICATION or nil
end

-- Remember which frame asks and which answers. A request is answered in order, so the oldest
-- request with this seq on the other side is the one.
local function link(pinfo, key, event, seq, sender_empty)
    if pinfo.visited then return end
    local stream = tcp_stream()
    if not stream then return end
    local of_stream = asked[stream.value] or {}
    asked[stream.value] = of_stream
    if event.asks == "always" or (event.asks == "unsent" and sender_empty) then
        local mine = pinfo.src_port .. ">" .. seq
        of_stream[mine] = of_stream[mine] or {}
        table.insert(of_stream[mine], { number = pinfo.number, time = pinfo.abs_ts, key = key,
            name = event.name })
    elseif event.answers then
        local waiting = of_stream[pinfo.dst_port .. ">" .. seq]
        local request = waiting and table.remove(waiting, 1)
        if request then
            links[key] = { to = request.number, after = pinfo.abs_ts - request.time, name = request.name }
            links[request.key] = { back = pinfo.number }
        end
    end
end

local function show_link(tree, key)
    local found = links[key]
    if not found then return end
    if found.back then
        tree:add(f.response_in, found.back):set_generated()
        return
    end
    tree:add(f.response_to, found.to):set_generated()
    local seconds = math.floor(found.after)
    local nanoseconds = math.floor((found.after - seconds) * 1e9)
    tree:add(f.time, NSTime.new(seconds, nanoseconds)):set_generated()
end

-- One frame, whole, from its length on.
local function dissect_frame(tvb, pinfo, tree)
    local size = tvb:len()
    pinfo.cols.protocol = "EventProto"
    local top = tree:add(proto, tvb())
    local length = tvb(0, LENGTH_SIZE):uint()
    local length_item = top:add(f.length, tvb(0, LENGTH_SIZE))
    if length < MIN_LENGTH then
        malformed(length_item, STATEMENTS.length_low, "length is " .. length .. ", and " .. MIN_LENGTH .. " is the least")
        pinfo.cols.info:append("[malformed length] ")
        return size
    end
    if length > MAX_LENGTH then
        malformed(length_item, STATEMENTS.length_high, "length is " .. length .. ", and no reader takes that")
        pinfo.cols.info:append("[length too large] ")
        return size
    end
    local version_item = top:add(f.version, tvb(4, 1))
    local number = tvb(5, 1):uint()
    local type_item = top:add(f.type, tvb(5, 1))
    local reserved_item = top:add(f.reserved, tvb(6, 2))
    local seq = tvb(8, 8):uint64()
    local seq_item = top:add(f.seq, tvb(8, 8))
    local event = event_of(number)
    local name = event and event.name or string.format("type 0x%02x", number)
    top:append_text(", " .. name .. ", seq " .. tostring(seq))
    if tvb(4, 1):uint() ~= VERSION then
        malformed(version_item, STATEMENTS.version, "version is not " .. VERSION)
    end
    if tvb(6, 2):uint() ~= 0 then
        malformed(reserved_item, STATEMENTS.reserved, "reserved is not 0")
    end
    if seq == UInt64(0) and not (event and event.unnumbered) then
        malformed(seq_item, STATEMENTS.seq_zero, "seq is 0, which only the last Error has")
    end
    if not event then
        type_item:add_proto_expert_info(e.unknown, "no event of version 1 (" .. STATEMENTS.unknown .. ")")
        if size > HEADER_SIZE then top:add(f.body, tvb(HEADER_SIZE)) end
        pinfo.cols.info:append(name .. " ")
        return size
    end
    local at, sender_empty, told = HEADER_SIZE, true, ""
    for _, part in ipairs(event.fields) do
        local item, range
        at, item, range = add_part(top, tvb, part, at, size)
        if not at then break end
        if part.name == "sender" then sender_empty = range == nil end
        if part.shown and range then
            local text = part.kind == "text" and range:string(ENC_UTF_8) or tostring(range:uint())
            told = told .. " " .. (part.values and part.values[range:uint()] or text)
            if part.shown == "refused" and seq ~= UInt64(0) then
                item:add_proto_expert_info(e.refused, "refused:" .. told)
            end
        end
    end
    if at and at < size then
        malformed(top:add(f.body, tvb(at)), STATEMENTS.trailing, (size - at) .. (size - at == 1 and " byte" or " bytes") .. " behind the last field")
    end
    local key = pinfo.number .. "@" .. tvb:offset() .. "/" .. tostring(seq) .. "/" .. number
    link(pinfo, key, event, tostring(seq), sender_empty)
    show_link(top, key)
    local found = links[key]
    local answered = found and found.name and (" to " .. found.name) or ""
    pinfo.cols.info:append(name .. answered .. " " .. tostring(seq) .. told .. " ")
    return size
end

-- How long the frame at `offset` is. A length that no frame has takes all that is left: nothing
-- behind it can be told apart.
local function frame_size(tvb, pinfo, offset)
    local length = tvb(offset, LENGTH_SIZE):uint()
    if length < MIN_LENGTH or length > MAX_LENGTH then return tvb:len() - offset end
    return LENGTH_SIZE + length
end

function proto.dissector(tvb, pinfo, tree)
    pinfo.cols.info:clear()
    dissect_tcp_pdus(tvb, tree, LENGTH_SIZE, frame_size, dissect_frame)
    return tvb:len()
end

-- On other ports: a segment that begins with a header of this protocol and a type of version 1.
local function is_frame(tvb)
    if tvb:len() < HEADER_SIZE then return false end
    local length = tvb(0, LENGTH_SIZE):uint()
    return length >= MIN_LENGTH and length <= MAX_LENGTH and tvb(4, 1):uint() == VERSION
        and tvb(6, 2):uint() == 0 and event_of(tvb(5, 1):uint()) ~= nil
end

proto:register_heuristic("tcp", function(tvb, pinfo, tree)
    if not is_frame(tvb) then return false end
    pinfo.conversation = proto
    proto.dissector(tvb, pinfo, tree)
    return true
end)

DissectorTable.get("tcp.port"):add(PORT, proto)
