package admin

import (
	"strings"

	"millrace/channels"
	"millrace/internal/resp"
)

// pubsubChannels answers PUBSUB CHANNELS [pattern]: the channels with subscribers. With
// a great many it is no snapshot, see channels.Broker.Channels.
func (c *conn) pubsubChannels(args [][]byte) {
	c.appendChannels(args, func(name string) (string, bool) {
		return name, !isShard(name) && name != channels.ControlChannel
	})
}

// pubsubShardChannels answers PUBSUB SHARDCHANNELS [pattern].
func (c *conn) pubsubShardChannels(args [][]byte) {
	c.appendChannels(args, func(name string) (string, bool) {
		return strings.CutPrefix(name, channels.ShardPrefix)
	})
}

// appendChannels replies with the channels that called has a name for and that fit
// args.
func (c *conn) appendChannels(args [][]byte, called func(channel string) (name string, ok bool)) {
	if len(args) > 3 {
		c.fail("ERR wrong number of arguments for '%s' command", lower(args[:2]...))
		return
	}
	pattern := channels.Glob("*")
	if len(args) == 3 {
		pattern = channels.Glob(args[2])
	}
	names := c.server.cfg.Broker.Channels()
	n := 0
	for _, channel := range names {
		if name, ok := called(channel); ok && pattern.Match(name) {
			names[n] = name
			n++
		}
	}
	c.out = resp.AppendArray(c.out, n)
	for _, name := range names[:n] {
		c.out = resp.AppendBulk(c.out, name)
	}
}

// pubsubNumsub answers PUBSUB NUMSUB [channel ...]: each with the number of its
// subscribers.
func (c *conn) pubsubNumsub(args [][]byte) {
	c.appendCounts(args[2:], func(name string) int {
		if isShard(name) {
			return 0
		}
		return c.server.cfg.Broker.Subscribers(name)
	})
}

// pubsubShardNumsub answers PUBSUB SHARDNUMSUB [channel ...].
func (c *conn) pubsubShardNumsub(args [][]byte) {
	c.appendCounts(args[2:], func(name string) int { return c.server.cfg.Broker.Subscribers(shard(name)) })
}

func (c *conn) appendCounts(names [][]byte, count func(name string) int) {
	c.out = resp.AppendArray(c.out, 2*len(names))
	for _, name := range names {
		c.out = resp.AppendBulk(c.out, name)
		c.out = resp.AppendInt(c.out, int64(count(string(name))))
	}
}

// pubsubNumpat answers PUBSUB NUMPAT: the number of patterns that somebody has
// subscribed to.
func (c *conn) pubsubNumpat([][]byte) {
	c.out = resp.AppendInt(c.out, int64(c.server.cfg.Broker.Globs()))
}
