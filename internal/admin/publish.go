package admin

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/resp"
)

// publish answers PUBLISH channel payload.
func (c *conn) publish(args [][]byte) {
	c.publishEvent(args[1], channels.Event{Data: args[2]})
}

// ssePublish answers SSE.PUBLISH channel payload [EVENT type] [RETRY
// milliseconds].
func (c *conn) ssePublish(args [][]byte) {
	ev := channels.Event{Data: args[2]}
	options := args[3:]
	for ; len(options) >= 2; options = options[2:] {
		value := string(options[1])
		switch strings.ToLower(string(options[0])) {
		case "event":
			ev.Type = value
		case "retry":
			ms, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				c.fail("ERR RETRY %.64q: want milliseconds, 0 to %d", value, 1<<31-1)
				return
			}
			ev.Retry = time.Duration(ms) * time.Millisecond
		default:
			c.fail("ERR unknown option %.64q of SSE.PUBLISH: want EVENT type or RETRY milliseconds", options[0])
			return
		}
	}
	if len(options) == 1 {
		c.fail("ERR option %.64q of SSE.PUBLISH without a value: want EVENT type or RETRY milliseconds", options[0])
		return
	}
	c.publishEvent(args[1], ev)
}

// publishShard answers SPUBLISH channel payload.
func (c *conn) publishShard(args [][]byte) {
	if err := checkShard(args[1]); err != nil {
		c.fail("ERR %.512v", err)
		return
	}
	c.publishTo(shard(string(args[1])), channels.Event{Data: args[2]})
}

// publishEvent publishes and replies with the number of receivers. Over an engine, it
// leaves that to publishBatch.
func (c *conn) publishEvent(channel []byte, ev channels.Event) {
	if string(channel) != c.channel { // most often it is the last one, and needs no new string
		c.channel = string(channel)
	}
	if isShard(c.channel) {
		c.fail("ERR %.512v", checkChannel(channel))
		return
	}
	c.publishTo(c.channel, ev)
}

func (c *conn) publishTo(channel string, ev channels.Event) {
	if !c.linked {
		receipt, err := c.server.cfg.Broker.Publish(channel, ev)
		if errors.Is(err, channels.ErrFrozen) {
			c.putBackEvent(channel, ev)
			return
		}
		c.published(receipt, err)
		return
	}
	ev.Data = bytes.Clone(ev.Data)
	c.batch = append(c.batch, channels.Publication{Channel: channel, Event: ev})
	if c.batched += len(ev.Data); len(c.batch) == maxBatch || c.batched >= bufferSize {
		c.publishBatch()
	}
}

// maxBatch is how many events are handed to an engine together. Their replies leave
// together, too, while the next are on their way.
const maxBatch = 128

// publishBatch publishes the events that publishEvent has gathered, and replies to all of
// them. Every other command that replies has to call it first.
func (c *conn) publishBatch() {
	if len(c.batch) == 0 {
		return
	}
	batch := c.batch
	c.batch, c.batched = nil, 0
	c.server.cfg.Broker.PublishAll(batch)
	for _, p := range batch {
		if len(c.undone) > 0 || isFrozen(p) { // replies have an order
			c.putBackEvent(p.Channel, p.Event)
		} else {
			c.published(p.Receipt, p.Err)
		}
	}
	clear(batch)
	c.batch = batch[:0]
	c.sent = true
}

// isFrozen tells whether an event was not published and has to be later.
func isFrozen(p channels.Publication) bool { return errors.Is(p.Err, channels.ErrFrozen) }

// published replies to one PUBLISH.
func (c *conn) published(receipt channels.Receipt, err error) {
	if err != nil {
		c.fail("ERR %.512v", err)
		return
	}
	c.out = resp.AppendInt(c.out, int64(receipt.Receivers))
}
