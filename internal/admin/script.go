package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"millrace/channels"
	"millrace/internal/resp"
)

// broadcastScript is the one script that is known, by the SHA-256 of its text with each
// run of white space as one blank: that of RedisBroadcaster of Laravel, which publishes
// its first argument on the channels that the others name. Where one of them refuses it,
// the others have it all the same.
const broadcastScript = "863f02712e728c69f4fa86470ab5886ee4d1ebae49334ace290d7fa169e4abe6"

// eval answers EVAL script numkeys [key ...] [arg ...].
func (c *conn) eval(args [][]byte) {
	keys, err := strconv.Atoi(string(args[2]))
	switch {
	case err != nil:
		c.fail("ERR value is not an integer or out of range")
		return
	case keys < 0:
		c.fail("ERR Number of keys can't be negative")
		return
	case keys > len(args)-3:
		c.fail("ERR Number of keys can't be greater than number of args")
		return
	}
	sum := sha256.Sum256(bytes.Join(bytes.Fields(args[1]), []byte(" ")))
	if hex.EncodeToString(sum[:]) != broadcastScript {
		c.fail("ERR EVAL runs one script only, that of Laravel's broadcaster")
		return
	}
	script := args[1]
	var batch []channels.Publication
	if args = args[3+keys:]; len(args) > 0 {
		for _, channel := range args[1:] {
			if isShard(string(channel)) {
				c.fail("ERR %.512v", checkChannel(channel))
				return
			}
			batch = append(batch, channels.Publication{Channel: string(channel), Event: channels.Event{Data: args[0]}})
		}
	}
	c.server.cfg.Broker.PublishAll(batch)
	if slices.ContainsFunc(batch, isFrozen) {
		c.putBack(restOf(script, slices.DeleteFunc(batch, func(p channels.Publication) bool { return p.Err == nil })))
		return
	}
	for _, p := range batch {
		if p.Err != nil {
			c.fail("ERR %.512v", p.Err)
			return
		}
	}
	c.out = resp.AppendNull(c.out, c.version)
}
