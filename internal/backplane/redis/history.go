package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
	clock, streams string // names; the channel follows the second
	fence          string // of this node, see snapshot
	count          int    // messages of a channel
	ttl            time.Duration
	logger         *slog.Logger
	// Of the session's goroutine:
	epoch         string // of the newest snapshot
	policy, fixed string // what that snapshot said of the server
}

const (
	// spare is how much longer than its messages a stream lives: a client whose last
	// event id is that old can be told that it has missed nothing.
	spare = time.Hour
	// fillBytes bounds the messages of one stream that are read at once.
	fillBytes = 4 << 20
)

func newHistory(prefix string, database int, o Options) *history {
	base := fmt.Sprintf("%s{millrace:%d}:", prefix, database) // pub/sub knows no databases
	return &history{
		clock: base + "clock", streams: base + "stream:", fence: base + "node:" + rand.Text()[:12],
		count: o.History, ttl: o.HistoryTTL, logger: cmp.Or(o.Logger, slog.Default()),
	}
}

// add publishes a message by a way to run addScript.
func (h *history) add(ctx context.Context, client redis.Scripter, run runScript, channel string, payload []byte) *redis.Cmd {
	var lives time.Duration
	if h.ttl > 0 {
		lives = h.ttl + spare
	}
	return run(ctx, client, []string{h.clock, h.streams + channel}, channels.NewEpoch(), h.count, lives.Milliseconds(), payload)
}

type runScript = func(ctx context.Context, client redis.Scripter, keys []string, args ...any) *redis.Cmd

// parseAdded reads the answer to add.
func parseAdded(answer *redis.Cmd) (epoch string, seq uint64, err error) {
	reply, err := answer.StringSlice()
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
// announces its place on the fence, among the live messages.
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
	const parts = 6 // before those about channels
	s := link.Snapshot{Channels: names}
	var now, lost uint64
	if len(reply) != parts+len(names) {
		return s, fmt.Errorf("%w: %d parts in a snapshot of %d channels", errReply, len(reply), len(names))
	}
	s.Epoch, _ = reply[0].(string)
	h.epoch = s.Epoch
	policy, _ := reply[4].(string)
	fixed, _ := reply[5].(string)
	h.warn(policy, fixed)
	for i, number := range []*uint64{&s.Seq, &now, &lost} {
		text, _ := reply[1+i].(string)
		if *number, err = strconv.ParseUint(text, 10, 64); err != nil {
			return s, fmt.Errorf("%w: %w", errReply, err)
		}
	}
	for i := range names {
		log, err := h.log(now, reply[parts+i])
		if err != nil {
			return s, err
		}
		log.Evicted = max(log.Evicted, lost)
		s.Logs = append(s.Logs, log)
	}
	return s, nil
}

// warn says, once, that the server may evict messages that it should keep, or that it takes
// no writes.
func (h *history) warn(policy, fixed string) {
	if policy != "" && policy != h.policy {
		h.logger.Warn("Redis may evict history, and clients that resume then are told of a gap: give it memory, and maxmemory-policy noeviction", "maxmemory_policy", policy)
	}
	switch {
	case fixed != "" && h.fixed == "":
		h.logger.Warn("Redis takes no writes: nothing can be published, and nodes read on", "error", fixed)
	case fixed == "" && h.fixed != "":
		h.logger.Info("Redis takes writes again")
	}
	h.policy, h.fixed = policy, fixed
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
		l.Kept = append(l.Kept, channels.Kept{Number: seq, Event: ev, Age: age})
	}
	switch {
	case len(list) == 1 && h.ttl > 0: // the stream may be gone
		l.Evicted = now - uint64((h.ttl + spare).Microseconds())
	case list[0] == "1" && len(l.Kept) > 0:
		l.Evicted = max(l.Evicted, l.Kept[0].Number-1)
	}
	return l, nil
}

// parseAnnouncement takes an announcement of addScript apart: everything but the channel,
// and the event as it travels.
func parseAnnouncement(text string) (m link.Message, payload string, err error) {
	fields := strings.SplitN(text, " ", 4)
	if len(fields) < 4 {
		return m, "", fmt.Errorf("%w: the announcement %.64q", errReply, text)
	}
	m.Epoch = fields[0]
	for i, number := range []*uint64{&m.Before, &m.Number} {
		if *number, err = strconv.ParseUint(fields[1+i], 10, 64); err != nil {
			return m, "", fmt.Errorf("%w: the announcement %.64q", errReply, text)
		}
	}
	return m, fields[3], nil
}
