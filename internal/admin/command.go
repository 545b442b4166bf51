package admin

import (
	"bytes"
	"fmt"
	"strings"

	"millrace/internal/resp"
)

// command is an entry of the command table.
type command struct {
	arity       int                          // arguments, the name included; negated if there may be more
	open        bool                         // to clients that have not authenticated
	pubsub      bool                         // to subscribers that speak RESP2
	batched     bool                         // replies by publishBatch
	within      within                       // its fate within a transaction
	run         func(c *conn, args [][]byte) // replies
	subcommands map[string]command           // whose arity counts both names
}

// within is the fate of a command between MULTI and EXEC.
type within int

const (
	queued  within = iota // EXEC runs it
	atOnce                // runs now
	refused               // spoils the transaction
)

// commands are the commands by their names in lower case.
var commands = map[string]command{
	"publish":     {arity: 3, run: (*conn).publish, batched: true},
	"spublish":    {arity: 3, run: (*conn).publishShard, batched: true},
	"sse.publish": {arity: -3, run: (*conn).ssePublish, batched: true},
	"sse.ticket":  {arity: -2, run: (*conn).sseTicket},
	"sse.kick": {arity: -2, subcommands: map[string]command{
		"user":    {arity: -3, run: (*conn).sseKickUser},
		"channel": {arity: -3, run: (*conn).sseKickChannel},
	}},
	"eval": {arity: -3, run: (*conn).eval},
	"pubsub": {arity: -2, subcommands: map[string]command{
		"channels":      {arity: -2, run: (*conn).pubsubChannels},
		"numsub":        {arity: -2, run: (*conn).pubsubNumsub},
		"numpat":        {arity: 2, run: (*conn).pubsubNumpat},
		"shardchannels": {arity: -2, run: (*conn).pubsubShardChannels},
		"shardnumsub":   {arity: -2, run: (*conn).pubsubShardNumsub},
	}},
	"subscribe":    {arity: -2, run: (*conn).subscribe, pubsub: true, within: refused},
	"psubscribe":   {arity: -2, run: (*conn).psubscribe, pubsub: true, within: refused},
	"ssubscribe":   {arity: -2, run: (*conn).subscribeShards, pubsub: true, within: refused},
	"unsubscribe":  {arity: -1, run: (*conn).unsubscribe, pubsub: true, within: refused},
	"punsubscribe": {arity: -1, run: (*conn).punsubscribe, pubsub: true, within: refused},
	"sunsubscribe": {arity: -1, run: (*conn).unsubscribeShards, pubsub: true, within: refused},

	"multi":   {arity: 1, run: (*conn).multi, within: atOnce},
	"exec":    {arity: 1, run: (*conn).exec, within: atOnce},
	"discard": {arity: 1, run: (*conn).discard, within: atOnce},
	"watch":   {arity: -2, run: (*conn).watch, within: atOnce},
	"unwatch": {arity: 1, run: (*conn).unwatch},

	"hello":  {arity: -1, run: (*conn).hello, open: true, within: refused},
	"auth":   {arity: -2, run: (*conn).auth, open: true, within: refused},
	"quit":   {arity: -1, run: (*conn).quit, open: true, pubsub: true, within: atOnce},
	"reset":  {arity: 1, run: (*conn).resetState, pubsub: true, within: atOnce},
	"select": {arity: 2, run: (*conn).selectDatabase},
	"ping":   {arity: -1, run: (*conn).ping, pubsub: true},
	"echo":   {arity: 2, run: (*conn).echo},

	"client": {arity: -2, subcommands: map[string]command{
		"id":       {arity: 2, run: (*conn).clientID},
		"info":     {arity: 2, run: (*conn).clientInfo},
		"list":     {arity: -2, run: (*conn).clientList},
		"kill":     {arity: -3, run: (*conn).clientKill},
		"getname":  {arity: 2, run: (*conn).clientGetname},
		"setname":  {arity: 3, run: (*conn).clientSetname},
		"setinfo":  {arity: 4, run: (*conn).clientSetinfo},
		"reply":    {arity: 3, run: (*conn).clientReply},
		"no-evict": {arity: 3, run: (*conn).clientSwitch},
		"no-touch": {arity: 3, run: (*conn).clientSwitch},
	}},

	"info":            {arity: -1, run: (*conn).info},
	"sse.connections": {arity: -1, run: (*conn).sseConnections},

	// Questions of frameworks to a server with keys.
	"config": {arity: -2, subcommands: map[string]command{"get": {arity: -3, run: (*conn).configGet}}},
	"dbsize": {arity: 1, run: (*conn).zero},
	"exists": {arity: -2, run: (*conn).zero},
	"role":   {arity: 1, run: (*conn).role},
	"time":   {arity: 1, run: (*conn).time},

	// Clients ask for the commands, to complete the words that people type. An empty
	// answer suits them all.
	"command": {arity: -1, run: (*conn).emptyArray, subcommands: map[string]command{
		"count": {arity: 2, run: (*conn).zero},
		"docs":  {arity: -2, run: (*conn).emptyMap},
		"info":  {arity: -2, run: (*conn).emptyArray},
		"list":  {arity: -2, run: (*conn).emptyArray},
	}},
}

// run answers one request, or has it wait for EXEC.
func (c *conn) run(args [][]byte) {
	c.request = args
	c.server.commands.Add(1)
	cmd, ok := c.find(args)
	switch {
	case !ok:
		c.transaction.spoil()
	case c.transaction.open && cmd.within == queued:
		c.enqueue(cmd, args)
	default:
		c.perform(cmd, args)
	}
}

// perform runs a command, after the waiting publishes if it replies by itself.
func (c *conn) perform(cmd command, args [][]byte) {
	c.request = args
	if !cmd.batched && !c.publishBefore() {
		return
	}
	cmd.run(c, args)
}

// find returns the command that args ask for, or replies with an error if there is
// none, or not for this client, or not now.
func (c *conn) find(args [][]byte) (cmd command, ok bool) {
	cmd, known := lookUp(commands, args[0])
	if !c.authenticated && !cmd.open {
		c.fail("NOAUTH Authentication required.")
		return cmd, false
	}
	if !known {
		c.unknown(args)
		return cmd, false
	}
	name := args[:1]
	if cmd.subcommands != nil && len(args) > 1 {
		if cmd, known = lookUp(cmd.subcommands, args[1]); !known {
			c.fail("ERR unknown subcommand '%.128s' of '%s'", args[1], lower(args[0]))
			return cmd, false
		}
		name = args[:2]
	}
	switch {
	case len(args) != cmd.arity && (cmd.arity >= 0 || len(args) < -cmd.arity):
		c.fail("ERR wrong number of arguments for '%s' command", lower(name...))
	case c.onlyPubSub() && !cmd.pubsub:
		c.fail("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", lower(name...))
	case c.transaction.open && cmd.within == refused:
		c.fail("ERR '%s' is not allowed in a transaction", lower(name...))
	default:
		return cmd, true
	}
	return cmd, false
}

// lookUp finds a command by its name, in upper or lower case.
func lookUp(table map[string]command, name []byte) (cmd command, known bool) {
	var space [maxCommandName]byte
	cmd, known = table[string(appendLower(space[:0], name))]
	return cmd, known
}

// lookUpWhole finds the command of a request that find has found.
func lookUpWhole(args [][]byte) (cmd command, known bool) {
	if cmd, known = lookUp(commands, args[0]); known && cmd.subcommands != nil && len(args) > 1 {
		cmd, known = lookUp(cmd.subcommands, args[1])
	}
	return cmd, known
}

// lower returns the name of a command, and of its subcommand.
func lower(names ...[]byte) string { return strings.ToLower(string(bytes.Join(names, []byte("|")))) }

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
	if c.publishBefore() {
		c.out = resp.AppendError(c.out, fmt.Sprintf(format, a...))
	}
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
