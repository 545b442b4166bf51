package admin

import (
	"fmt"

	"millrace/internal/resp"
)

// command is an entry of the command table.
type command struct {
	arity       int                          // arguments, the name included; negated if there may be more
	open        bool                         // to clients that have not authenticated
	pubsub      bool                         // to subscribers that speak RESP2
	batched     bool                         // replies by publishBatch
	run         func(c *conn, args [][]byte) // replies
	subcommands map[string]command           // whose arity counts both names
}

// commands are the commands by their names in lower case.
var commands = map[string]command{
	"publish":     {arity: 3, run: (*conn).publish, batched: true},
	"sse.publish": {arity: -3, run: (*conn).ssePublish, batched: true},
	"pubsub": {arity: -2, subcommands: map[string]command{
		"channels": {arity: -2, run: (*conn).pubsubChannels},
		"numsub":   {arity: -2, run: (*conn).pubsubNumsub},
		"numpat":   {arity: 2, run: (*conn).pubsubNumpat},
	}},
	"subscribe":    {arity: -2, run: (*conn).subscribe, pubsub: true},
	"psubscribe":   {arity: -2, run: (*conn).psubscribe, pubsub: true},
	"ssubscribe":   {arity: -2, run: (*conn).subscribeShard, pubsub: true},
	"unsubscribe":  {arity: -1, run: (*conn).unsubscribe, pubsub: true},
	"punsubscribe": {arity: -1, run: (*conn).punsubscribe, pubsub: true},
	"sunsubscribe": {arity: -1, run: (*conn).subscribeShard, pubsub: true},

	"hello":  {arity: -1, run: (*conn).hello, open: true},
	"auth":   {arity: -2, run: (*conn).auth, open: true},
	"quit":   {arity: -1, run: (*conn).quit, open: true, pubsub: true},
	"reset":  {arity: 1, run: (*conn).resetState, pubsub: true},
	"select": {arity: 2, run: (*conn).selectDatabase},
	"ping":   {arity: -1, run: (*conn).ping, pubsub: true},
	"echo":   {arity: 2, run: (*conn).echo},

	"client": {arity: -2, subcommands: map[string]command{
		"id":       {arity: 2, run: (*conn).clientID},
		"info":     {arity: 2, run: (*conn).clientInfo},
		"getname":  {arity: 2, run: (*conn).clientGetname},
		"setname":  {arity: 3, run: (*conn).clientSetname},
		"setinfo":  {arity: 4, run: (*conn).clientSetinfo},
		"reply":    {arity: 3, run: (*conn).clientReply},
		"no-evict": {arity: 3, run: (*conn).clientSwitch},
		"no-touch": {arity: 3, run: (*conn).clientSwitch},
	}},

	"info":            {arity: -1, run: (*conn).info},
	"sse.connections": {arity: -1, run: (*conn).sseConnections},

	// Clients ask what the server knows, to complete what people type. To be
	// told nothing suits them all.
	"command": {arity: -1, run: (*conn).emptyArray, subcommands: map[string]command{
		"count": {arity: 2, run: (*conn).zero},
		"docs":  {arity: -2, run: (*conn).emptyMap},
		"info":  {arity: -2, run: (*conn).emptyArray},
		"list":  {arity: -2, run: (*conn).emptyArray},
	}},
}

// run answers one request.
func (c *conn) run(args [][]byte) {
	c.server.commands.Add(1)
	var space [maxCommandName]byte // stays on the stack, and so must not reach fail but as a string
	name := appendLower(space[:0], args[0])
	cmd, known := commands[string(name)]
	if !c.authenticated && !cmd.open {
		c.fail("NOAUTH Authentication required.")
		return
	}
	if !known {
		c.unknown(args)
		return
	}
	if cmd.subcommands != nil && len(args) > 1 {
		sub := appendLower(nil, args[1])
		if cmd, known = cmd.subcommands[string(sub)]; !known {
			c.fail("ERR unknown subcommand '%.128s' of '%s'", args[1], string(name))
			return
		}
		name = append(append(name, '|'), sub...)
	}
	if len(args) != cmd.arity && (cmd.arity >= 0 || len(args) < -cmd.arity) {
		c.fail("ERR wrong number of arguments for '%s' command", string(name))
		return
	}
	if c.onlyPubSub() && !cmd.pubsub {
		c.fail("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", string(name))
		return
	}
	if !cmd.batched {
		c.publishBatch()
	}
	cmd.run(c, args)
}

// maxCommandName is more bytes than any name in the table has.
const maxCommandName = 16

// appendLower appends a name in lower case, as much of it as tells it from
// those in the table.
func appendLower(dst, name []byte) []byte {
	for _, b := range name[:min(len(name), maxCommandName)] {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return dst
}

// unknown quotes as much of the request as Redis does.
func (c *conn) unknown(args [][]byte) {
	const most = 128
	var begin []byte
	for _, arg := range args[1:] {
		if len(begin) >= most {
			break
		}
		begin = fmt.Appendf(begin, "'%.*s' ", most-len(begin), arg)
	}
	c.fail("ERR unknown command '%.*s', with args beginning with: %s", most, args[0], begin)
}

func (c *conn) ok() {
	c.out = resp.AppendSimple(c.out, "OK")
}

// fail replies with an error, whose text begins with its code.
func (c *conn) fail(format string, a ...any) {
	c.publishBatch()
	c.out = resp.AppendError(c.out, fmt.Sprintf(format, a...))
}

func (c *conn) zero([][]byte) {
	c.out = resp.AppendInt(c.out, 0)
}

func (c *conn) emptyArray([][]byte) {
	c.out = resp.AppendArray(c.out, 0)
}

func (c *conn) emptyMap([][]byte) {
	c.out = resp.AppendMap(c.out, 0, c.version)
}
