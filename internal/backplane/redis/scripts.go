package redis

import "github.com/redis/go-redis/v9"

// Scripts that run in the server, each in one step as a whole: so the message that one
// publishes has one place in the order of all messages.

// epochLua sets epoch, seq and count, how many messages a stream keeps, from the clock in
// KEYS[1]; a new epoch is ARGV[1], and a new count ARGV[2].
const epochLua = `
local clock = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'count')
local epoch, seq, count = clock[1] or ARGV[1], tonumber(clock[2] or '0'), tonumber(clock[3] or ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
`

// addScript appends the message ARGV[4] to the stream KEYS[2], of which it keeps
// about count messages for ARGV[3] milliseconds (0 for ever), and announces it with the
// number of the one before in the stream: when a cluster moves the slot, its servers pass
// announcements on, and one may be lost. A message that must not be announced is not kept
// either.
var addScript = redis.NewScript(epochLua + `
seq = math.max(seq + 2, now - now % 2)
local id = string.format('%.0f', seq)
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local before = newest and string.match(newest[1], '^%d+') or '0'
redis.call('XADD', KEYS[2], 'MAXLEN', '~', count, id .. '-0', 'm', ARGV[4])
redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', id)
if ARGV[3] ~= '0' then
	redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
local told = redis.pcall('PUBLISH', KEYS[2], epoch .. ' ' .. before .. ' ' .. id .. ' ' .. ARGV[4])
if type(told) == 'table' and told.err then
	redis.call('XDEL', KEYS[2], id .. '-0')
	return told
end
return {epoch, id}
`)

// placeLua sets seq to a number that no later message has or is below, and told to that of
// the newest message, ARGV[7] being the number up to which the node has got messages of the
// epoch ARGV[6]. The number is of now, even if the newest message is not: a stream that
// begins there has an event id that is not old. A server that takes no writes (it has no
// memory, is a replica, cannot save) says so in fixed, and can be read all the same: then
// nothing newer comes, and the place is that of the newest message.
const placeLua = `
local told, fixed = seq, ''
seq = math.max(seq, now - now % 2)
local stored = redis.pcall('HSET', KEYS[1], 'epoch', epoch, 'seq', string.format('%.0f', seq))
if type(stored) == 'table' and stored.err then
	fixed, seq, epoch = stored.err, told, clock[1] or 'none'
	if epoch == ARGV[6] then
		seq = math.max(seq, tonumber(ARGV[7]) + tonumber(ARGV[7]) % 2)
	end
end
`

// lostLua sets lost to the number up to which messages that there were may be missing, and
// policy to how the server evicts, ” if it does not. Messages are missing when the server
// was a replica, which gets them after the publisher has its reply; when it has read an old
// snapshot of its data, and not its append-only file; when a node has got higher numbers
// than the server knows of; when a node begins that wants more kept than was, in ARGV[2];
// and when the server has evicted keys since a node has looked, whichever these were.
const lostLua = `
local function info(section, field)
	local text = redis.pcall('INFO', section)
	return type(text) == 'string' and string.match(text, field .. ':([%w-]+)') or ''
end
local server, evicted, policy = info('replication', 'master_replid'), info('stats', 'evicted_keys'), ''
if info('memory', 'maxmemory') ~= '0' then
	policy = info('memory', 'maxmemory_policy')
end
if policy == 'noeviction' then
	policy = ''
end
local before = redis.call('HMGET', KEYS[1], 'server', 'lost', 'evicted')
local lost = before[2] or '0'
local missing = epoch == ARGV[6] and tonumber(ARGV[7]) > told + 1 or evicted ~= (before[3] or '0') and evicted ~= ''
if before[1] and server ~= before[1] then
	local read = info('persistence', 'aof_enabled') == '1' and not string.match(info('replication', 'master_replid2'), '[^0]')
	missing = missing or not read
end
if #KEYS == 1 then
	missing = missing or count < tonumber(ARGV[2])
	count = tonumber(ARGV[2])
end
if missing then
	lost = string.format('%.0f', seq)
end
if fixed == '' then
	redis.call('HSET', KEYS[1], 'server', server, 'lost', lost, 'count', count, 'evicted', evicted)
end
`

// snapshotScript returns the epoch, the place, the time, up to which number messages may be
// missing, policy, fixed, and of each other key the newest messages, at most ARGV[2], that
// have at least the number ARGV[3]: whether that is not all, and then number and message in
// turn, the newest first. They come by pages that grow, the last of which has more than
// ARGV[4] bytes, with 64 for each message. It publishes the number of the place to ARGV[5]
// there.
var snapshotScript = redis.NewScript(epochLua + placeLua + lostLua + `
local reply = {epoch, string.format('%.0f', seq), string.format('%.0f', now), lost, policy, fixed}
for i = 2, #KEYS do
	local left, size, to, more = math.min(count, tonumber(ARGV[2])), 0, '+', '0'
	local list = {}
	while true do
		local page = redis.call('XREVRANGE', KEYS[i], to, ARGV[3], 'COUNT', math.min(left, 32, 1 + #list / 2))
		local id
		for _, entry in ipairs(page) do
			id = string.match(entry[1], '^%d+')
			list[#list + 1] = id
			list[#list + 1] = entry[2][2]
			size = size + #entry[2][2] + 64
		end
		left = left - #page
		if #page == 0 then break end
		if left == 0 or size > tonumber(ARGV[4]) then
			more = '1'
			break
		end
		to = string.format('%.0f', tonumber(id) - 1)
	end
	table.insert(list, 1, more)
	reply[#reply + 1] = list
end
redis.call('PUBLISH', ARGV[5], reply[2])
return reply
`)
