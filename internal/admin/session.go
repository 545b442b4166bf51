package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/resp"
)

// redisVersion is the release of Redis that this port behaves like, as far as
// it goes.
const redisVersion = "7.2.0"

// maxNameSize is the longest name of a client or of its library, in bytes.
const maxNameSize = 255

// hello answers HELLO [2|3 [AUTH user password] [SETNAME name]].
func (c *conn) hello(args [][]byte) {
	version, name := c.version, c.name
	if len(args) > 1 {
		n, err := strconv.Atoi(string(args[1]))
		if err != nil {
			c.fail("ERR Protocol version is not an integer or out of range")
			return
		}
		if version = resp.Version(n); version != resp.RESP2 && version != resp.RESP3 {
			c.fail("NOPROTO unsupported protocol version")
			return
		}
	}
	for options := args[min(2, len(args)):]; len(options) > 0; {
		switch option := strings.ToLower(string(options[0])); {
		case option == "auth" && len(options) >= 3:
			if !c.login(options[1], options[2]) {
				return
			}
			options = options[3:]
		case option == "setname" && len(options) >= 2:
			if !c.checkName("Client names", options[1]) {
				return
			}
			name = string(options[1])
			options = options[2:]
		default:
			c.fail("ERR Syntax error in HELLO option '%.64s'", options[0])
			return
		}
	}
	if !c.authenticated {
		c.fail("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> " +
			"<pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	c.speak(version)
	c.name = name

	c.out = resp.AppendMap(c.out, 7, c.version)
	c.out = resp.AppendBulk(resp.AppendBulk(c.out, "server"), "redis")
	c.out = resp.AppendBulk(resp.AppendBulk(c.out, "version"), redisVersion)
	c.out = resp.AppendInt(resp.AppendBulk(c.out, "proto"), int64(c.version))
	c.out = resp.AppendInt(resp.AppendBulk(c.out, "id"), c.id)
	c.out = resp.AppendBulk(resp.AppendBulk(c.out, "mode"), "standalone")
	c.out = resp.AppendBulk(resp.AppendBulk(c.out, "role"), "master")
	c.out = resp.AppendArray(resp.AppendBulk(c.out, "modules"), 0)
}

// auth answers AUTH [user] password.
func (c *conn) auth(args [][]byte) {
	switch {
	case len(args) > 3:
		c.fail("ERR syntax error")
	case len(args) == 2 && c.server.cfg.Password == "":
		c.fail("ERR AUTH <password> called without any password configured for the default user. " +
			"Are you sure your configuration is correct?")
	case len(args) == 2 && c.login([]byte("default"), args[1]), len(args) == 3 && c.login(args[1], args[2]):
		c.ok()
	}
}

// login lets the client in, or replies that the password is wrong, but not at once.
func (c *conn) login(user, password []byte) bool {
	s := c.server
	sum := sha256.Sum256(password)
	right := subtle.ConstantTimeCompare(sum[:], s.password.Load()[:]) == 1 || s.cfg.Password == ""
	if right && string(user) == "default" {
		c.letIn()
		return true
	}
	c.authFailures++
	c.leaving = c.authFailures == maxAuthFailures
	s.cfg.Logger.Warn("admin port got a wrong password", "client", c.nc.RemoteAddr())
	err := c.flush()
	c.hangup = err != nil && err != errInterrupted || !s.guesses.Wrong(s.lifetime().Done()) && !s.isReleasing()
	if !c.hangup {
		c.fail("WRONGPASS invalid username-password pair or user is disabled.")
	}
	return false
}

// letIn has the client be one that has given the password.
func (c *conn) letIn() {
	c.authenticated = true
	c.parser.Limits = c.server.limits
	c.nc.SetReadDeadline(time.Time{})
}

func (c *conn) quit([][]byte) {
	c.leaving = true
	c.ok()
}

func (c *conn) resetState([][]byte) {
	c.unsubscribeAll()
	c.reset()
	c.out = resp.AppendSimple(c.out, "RESET")
}

// selectDatabase answers SELECT index. There are no databases, and the same command
// does the same in all of them.
func (c *conn) selectDatabase(args [][]byte) {
	if _, err := strconv.ParseUint(string(args[1]), 10, 31); err != nil {
		c.fail("ERR invalid DB index %.64q", args[1])
		return
	}
	c.ok()
}

// ping answers PING [message].
func (c *conn) ping(args [][]byte) {
	switch {
	case c.onlyPubSub() && len(args) <= 2: // a reply must look like a message
		c.out = resp.AppendBulk(resp.AppendArray(c.out, 2), "pong")
		c.out = resp.AppendBulk(c.out, slices.Concat(args[1:]...))
	case len(args) == 1:
		c.out = resp.AppendSimple(c.out, "PONG")
	case len(args) == 2:
		c.out = resp.AppendBulk(c.out, args[1])
	default:
		c.fail("ERR wrong number of arguments for 'ping' command")
	}
}

func (c *conn) echo(args [][]byte) {
	c.out = resp.AppendBulk(c.out, args[1])
}

func (c *conn) clientID([][]byte) {
	c.out = resp.AppendInt(c.out, c.id)
}

func (c *conn) clientGetname([][]byte) {
	if c.name == "" {
		c.out = resp.AppendNull(c.out, c.version)
		return
	}
	c.out = resp.AppendBulk(c.out, c.name)
}

func (c *conn) clientSetname(args [][]byte) {
	if c.checkName("Client names", args[2]) {
		c.name = string(args[2])
		c.ok()
	}
}

// clientSetinfo answers CLIENT SETINFO LIB-NAME|LIB-VER value.
func (c *conn) clientSetinfo(args [][]byte) {
	attribute := strings.ToLower(string(args[2]))
	switch {
	case attribute != "lib-name" && attribute != "lib-ver":
		c.fail("ERR Unrecognized option '%.64s'", args[2])
	case !c.checkName(attribute, args[3]):
	case attribute == "lib-name":
		c.libName = string(args[3])
		c.ok()
	default:
		c.libVersion = string(args[3])
		c.ok()
	}
}

// checkName replies with an error unless name is short and all of visible
// ASCII, so that it stays one word in CLIENT INFO.
func (c *conn) checkName(what string, name []byte) bool {
	if len(name) > maxNameSize {
		c.fail("ERR %s cannot be longer than %d bytes, got %d", what, maxNameSize, len(name))
		return false
	}
	if bytes.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' }) {
		c.fail("ERR %s cannot contain spaces, newlines or special characters.", what)
		return false
	}
	return true
}

// clientInfo answers CLIENT INFO: the line of CLIENT LIST for this connection.
func (c *conn) clientInfo([][]byte) {
	c.show()
	c.out = resp.AppendBulk(c.out, c.appendAbout(nil))
}

// clientReply answers CLIENT REPLY ON, the only kind of reply there is.
func (c *conn) clientReply(args [][]byte) {
	if !strings.EqualFold(string(args[2]), "on") {
		c.fail("ERR CLIENT REPLY %.64q is not supported: every command is answered", args[2])
		return
	}
	c.ok()
}

// clientSwitch answers CLIENT NO-EVICT and NO-TOUCH, ON or OFF. Nothing is ever
// evicted.
func (c *conn) clientSwitch(args [][]byte) {
	if s := string(args[2]); !strings.EqualFold(s, "on") && !strings.EqualFold(s, "off") {
		c.fail("ERR syntax error")
		return
	}
	c.ok()
}
