package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
	"millrace/internal/backplane/link"
)

// history keeps messages in the server. All keys have one hash tag, so that a script
// may use several of them in a cluster too, and there is one order.
//
// A hash, the clock, has the epoch and the number of the newest message of all. The
// numbers are even, as channels.Kept asks for, and microseconds since 1970 unless
// that would not be more than the one before. So they go on growing even when the
// newest are lost, by a failover or with everything else.
//
// Each channel has a stream, where a message is the entry <number>-0, and is
// announced on a pub/sub channel of the stream's name.
type history struct {
	clock, streams string // names; that of a stream is behind the second
	fence          string // of this node, see snapshot
	count          int    // messages of a channel
	ttl            time.Duration
	epoch          string // of the newest snapshot; of the session's goroutine
}

const (
	// spare is how much longer than its messages a stream lives: a client whose last
	// event id is that old can be told that it has missed nothing.
	spare = time.Hour
	// fillBytes bounds what is read of one stream at once.
	fillBytes = 4 << 20
)

func newHistory(prefix string, database int, o Options) *history {
	base := fmt.Sprintf("%s{millrace:%d}:", prefix, database) // pub/sub knows no databases
	return &history{
		clock: base + "clock", streams: base + "stream:", fence: base + "node:" + rand.Text()[:12],
		count: o.History, ttl: o.HistoryTTL,
	}
}

// epochLua sets epoch, seq and count, how many messages a stream keeps, from the clock in
// KEYS[1]; a new epoch is ARGV[1], and a new count ARGV[2].
const epochLua = `
local clock = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'count')
local epoch, seq, count = clock[1], tonumber(clock[2] or '0'), tonumber(clock[3] or ARGV[2])
if not epoch then
	epoch = ARGV[1]
	redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', '0')
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
`

// addScript appends the message ARGV[4] to the stream KEYS[2], of which it keeps
// about count messages for ARGV[3] milliseconds (0 for ever), and announces it with the
// number of the one before in the stream: when a cluster moves the slot, its servers pass
// announcements on, and one may be lost. What may not be announced is not kept either.
var addScript = redis.NewScript(epochLua + `
seq = math.max(seq + 2, now - now % 2)
local id = string.format('%.0f', seq)
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local before = newest and string.match(newest[1], '^%d+') or '0'
redis.call('XADD', KEYS[2], 'MAXLEN', '~', count, id .. '-0', 'm', ARGV[4])
redis.call('HSET', KEYS[1], 'seq', id)
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

// lostLua sets lost to the number up to which messages that there were may be missing. Some
// are when the server was a replica, which is sent them behind the publisher's reply; when
// it has read an old snapshot of its data, and not its append-only file; when a node has got
// higher numbers of this epoch, ARGV[6], than the server knows of, ARGV[7]; and when a node
// begins that wants more kept than was, in ARGV[2].
const lostLua = `
local function info(section, field)
	local text = redis.pcall('INFO', section)
	return type(text) == 'string' and string.match(text, field .. ':(%w+)') or ''
end
local server = info('replication', 'master_replid')
local before = redis.call('HMGET', KEYS[1], 'server', 'lost')
local lost = before[2] or '0'
local missing = epoch == ARGV[6] and tonumber(ARGV[7]) > told + 1
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
redis.call('HSET', KEYS[1], 'server', server, 'lost', lost, 'count', count)
`

// snapshotScript returns the epoch, a number that no later message has or is below, the
// time, up to which number messages may be missing, and of each other key the newest
// messages, at most ARGV[2] and ARGV[4] bytes, that have at least the number ARGV[3]: whether
// that is not all, and then number and message in turn, the newest first. It publishes the
// number to ARGV[5] at that place in the order. The number is of now, even if the newest
// message is not: a stream that begins there has an event id that is not old.
var snapshotScript = redis.NewScript(epochLua + `
local told = seq
seq = math.max(seq, now - now % 2)
redis.call('HSET', KEYS[1], 'seq', string.format('%.0f', seq))
` + lostLua + `
local reply = {epoch, string.format('%.0f', seq), string.format('%.0f', now), lost}
for i = 2, #KEYS do
	local left, size, to, more = math.min(count, tonumber(ARGV[2])), 0, '+', '0'
	local list = {}
	while true do
		local page = redis.call('XREVRANGE', KEYS[i], to, ARGV[3], 'COUNT', math.min(left, 32))
		local id
		for _, entry in ipairs(page) do
			id = string.match(entry[1], '^%d+')
			list[#list + 1] = id
			list[#list + 1] = entry[2][2]
			size = size + #entry[2][2]
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

// add publishes a message.
func (h *history) add(ctx context.Context, client redis.Scripter, channel string, payload []byte) (epoch string, seq uint64, err error) {
	var lives time.Duration
	if h.ttl > 0 {
		lives = h.ttl + spare
	}
	reply, err := addScript.Run(ctx, client, []string{h.clock, h.streams + channel},
		channels.NewEpoch(), h.count, lives.Milliseconds(), payload).StringSlice()
	if err != nil {
		return "", 0, err
	}
	if len(reply) != 2 {
		return "", 0, fmt.Errorf("%w: %q to a publisher", errReply, reply)
	}
	seq, err = strconv.ParseUint(reply[1], 10, 64)
	return reply[0], seq, err
}

var errReply = errors.New("unexpected reply")

// snapshot is link.History's, for a node that has got messages up to head. The server
// announces its place on the fence, among what it announces live.
func (h *history) snapshot(ctx context.Context, client redis.Scripter, head, since uint64, names []string) (link.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	keys := []string{h.clock}
	for _, channel := range names {
		keys = append(keys, h.streams+channel)
	}
	reply, err := snapshotScript.Run(ctx, client, keys, channels.NewEpoch(), h.count, since+1, fillBytes, h.fence, h.epoch, head).Slice()
	if len(names) > 0 && (refusesNames(err) || redis.HasErrorPrefix(err, "WRONGTYPE")) {
		err = fmt.Errorf("%w: %w", link.ErrRefused, err)
	}
	if err != nil {
		return link.Snapshot{}, err
	}
	s := link.Snapshot{Channels: names}
	var now, lost uint64
	if len(reply) != 4+len(names) {
		return s, fmt.Errorf("%w: %d parts in a snapshot of %d channels", errReply, len(reply), len(names))
	}
	s.Epoch, _ = reply[0].(string)
	h.epoch = s.Epoch
	for i, number := range []*uint64{&s.Seq, &now, &lost} {
		text, _ := reply[1+i].(string)
		if *number, err = strconv.ParseUint(text, 10, 64); err != nil {
			return s, fmt.Errorf("%w: %w", errReply, err)
		}
	}
	for i := range names {
		log, err := h.log(now, reply[4+i])
		if err != nil {
			return s, err
		}
		log.Evicted = max(log.Evicted, lost)
		s.Logs = append(s.Logs, log)
	}
	return s, nil
}

// log reads the part of a snapshot that is about one channel.
func (h *history) log(now uint64, part any) (l link.Log, err error) {
	list, _ := part.([]any)
	if len(list)%2 != 1 {
		return l, fmt.Errorf("%w: %d elements for a stream", errReply, len(list))
	}
	for i := len(list) - 2; i > 0; i -= 2 {
		number, _ := list[i].(string)
		payload, _ := list[i+1].(string)
		seq, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return l, fmt.Errorf("%w: %w", errReply, err)
		}
		age := time.Duration(now-min(seq, now)) * time.Microsecond
		ev, err := envelope.Parse([]byte(payload))
		if err != nil || h.ttl > 0 && age > h.ttl {
			l.Evicted = seq
			continue
		}
		l.Kept = append(l.Kept, channels.Kept{Seq: seq, Event: ev, Age: age})
	}
	switch {
	case len(list) == 1 && h.ttl > 0: // the stream may be gone
		l.Evicted = now - uint64((h.ttl + spare).Microseconds())
	case list[0] == "1" && len(l.Kept) > 0:
		l.Evicted = max(l.Evicted, l.Kept[0].Seq-1)
	}
	return l, nil
}

// parseAnnouncement takes apart what addScript publishes: all but the channel, and the
// event as it travels.
func parseAnnouncement(text string) (m link.Message, payload string, err error) {
	fields := strings.SplitN(text, " ", 4)
	if len(fields) < 4 {
		return m, "", fmt.Errorf("%w: the announcement %.64q", errReply, text)
	}
	m.Epoch = fields[0]
	for i, number := range []*uint64{&m.Before, &m.Seq} {
		if *number, err = strconv.ParseUint(fields[1+i], 10, 64); err != nil {
			return m, "", fmt.Errorf("%w: the announcement %.64q", errReply, text)
		}
	}
	return m, fields[3], nil
}
