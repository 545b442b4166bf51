package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"millrace/internal/resp"
	"millrace/server"
)

const (
	// maxSlow is the most event streams that SSE.CONNECTIONS lists, and defaultSlow how
	// many unless it is told.
	maxSlow, defaultSlow = 1000, 20
	// slowTimeout is how long a loop may take to tell of its slow readers.
	slowTimeout = time.Second
)

// sseConnections answers SSE.CONNECTIONS [SLOW n] in the style of CLIENT LIST.
func (c *conn) sseConnections(args [][]byte) {
	n := defaultSlow
	if options := args[1:]; len(options) > 0 {
		asked, err := 0, error(strconv.ErrSyntax)
		if len(options) == 2 && strings.EqualFold(string(options[0]), "slow") {
			asked, err = strconv.Atoi(string(options[1]))
		}
		if err != nil || asked < 0 || asked > maxSlow {
			c.fail("ERR SSE.CONNECTIONS %.64q: want SLOW and a number, 0 to %d", options, maxSlow)
			return
		}
		n = asked
	}
	var readers []server.SlowReader
	if streams := c.server.cfg.Streams; streams != nil {
		ctx, cancel := context.WithTimeout(c.server.lifetime(), slowTimeout)
		defer cancel()
		var err error
		if readers, err = streams.SlowReaders(ctx, n); err != nil && c.server.isReleasing() {
			c.putBack(args)
			return
		} else if err != nil {
			c.fail("ERR %.512v", err)
			return
		}
	}
	var text []byte
	for _, r := range readers {
		text = appendSlow(text, r)
	}
	c.out = resp.AppendBulk(c.out, text)
}

// inField keeps a channel's name within its field.
var inField = strings.NewReplacer("%", "%25", " ", "%20", ",", "%2C")

// appendSlow appends the line of a slow reader.
func appendSlow(dst []byte, r server.SlowReader) []byte {
	names := make([]string, len(r.Channels))
	for i, name := range r.Channels {
		names[i] = inField.Replace(name)
	}
	lapped := 0
	if r.Lapped {
		lapped = 1
	}
	return fmt.Appendf(dst, "addr=%s channels=%s loop=%d behind=%d lapped=%d seconds=%.3f protocol=%s\n",
		r.Address, strings.Join(names, ","), r.Loop, r.Missing, lapped, r.Behind.Seconds(), r.Protocol)
}
