package admin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/auth/ticket"
	"millrace/internal/resp"
)

// Control issues tickets and ends streams. *control.Control is one. Safe for concurrent
// use.
type Control interface {
	IssueTicket(g ticket.Grant) (string, error)
	// KickUser and KickChannel return how many streams they have ended on this node; on
	// other nodes they end some, too.
	KickUser(user string, hold time.Duration, final bool) (ended int, err error)
	KickChannel(channel, user string) (ended int, err error)
}

var errNoControl = errors.New("tickets and kicks are not available here")

// sseTicket answers SSE.TICKET [EX seconds] [USER name] [UNTIL seconds] channel
// [channel ...] with a ticket.
func (c *conn) sseTicket(args [][]byte) {
	text, err := c.issueTicket(args[1:])
	if err != nil {
		c.fail("ERR %.512v", err)
		return
	}
	c.out = resp.AppendBulk(c.out, text)
}

func (c *conn) issueTicket(args [][]byte) (string, error) {
	if c.server.cfg.Control == nil {
		return "", errNoControl
	}
	text := ""
	g, err := ticketAsked(args)
	misused := err != nil
	if !misused {
		text, err = c.server.cfg.Control.IssueTicket(g)
		misused = errors.Is(err, ticket.ErrGrant)
	}
	if misused {
		err = fmt.Errorf("%w: want SSE.TICKET [EX seconds] [USER name] [UNTIL seconds] channel [channel ...]", err)
	}
	return text, err
}

// ticketAsked reads the arguments of SSE.TICKET: options, and then channels.
func ticketAsked(args [][]byte) (g ticket.Grant, err error) {
	for len(args) > 1 {
		value := string(args[1])
		switch strings.ToLower(string(args[0])) {
		case "ex":
			g.OpenFor, err = seconds("EX", value, ticket.MaxOpenFor)
		case "until":
			g.Until, err = seconds("UNTIL", value, ticket.MaxUntil)
		case "user":
			g.User, err = value, auth.CheckUser(value)
		default:
			g.Channels = texts(args)
			return g, nil
		}
		if err != nil {
			return g, err
		}
		args = args[2:]
	}
	g.Channels = texts(args)
	return g, nil
}

// sseKickUser answers SSE.KICK USER name [FOR seconds] [FINAL] with how many streams have
// ended on this node. FOR 0 lifts what an earlier kick has said.
func (c *conn) sseKickUser(args [][]byte) {
	user, options := string(args[2]), args[3:]
	hold, final := auth.DefaultKick, false
	for len(options) > 0 {
		option, err := strings.ToLower(string(options[0])), error(nil)
		switch {
		case option == "final":
			final, options = true, options[1:]
		case option == "for" && len(options) > 1 && string(options[1]) == "0":
			hold, options = 0, options[2:]
		case option == "for" && len(options) > 1:
			hold, err = seconds("FOR", string(options[1]), auth.MaxKick)
			options = options[2:]
		default:
			err = fmt.Errorf("option %.64q", options[0])
		}
		if err != nil {
			c.fail("ERR %.512v: want SSE.KICK USER name [FOR seconds] [FINAL]", err)
			return
		}
	}
	c.kicked(func(control Control) (int, error) { return control.KickUser(user, hold, final) })
}

// sseKickChannel answers SSE.KICK CHANNEL channel [USER name] with how many streams have
// ended on this node.
func (c *conn) sseKickChannel(args [][]byte) {
	channel, options, user := string(args[2]), args[3:], ""
	if len(options) > 0 {
		if len(options) != 2 || !strings.EqualFold(string(options[0]), "user") || len(options[1]) == 0 {
			c.fail("ERR options %.64q: want SSE.KICK CHANNEL channel [USER name]", options)
			return
		}
		user = string(options[1])
	}
	c.kicked(func(control Control) (int, error) { return control.KickChannel(channel, user) })
}

// kicked replies with what has become of a kick.
func (c *conn) kicked(kick func(Control) (int, error)) {
	if c.server.cfg.Control == nil {
		c.fail("ERR %v", errNoControl)
		return
	}
	ended, err := kick(c.server.cfg.Control)
	if errors.Is(err, channels.ErrFrozen) {
		c.putBack(c.request)
		return
	}
	if err != nil {
		c.fail("ERR %.512v", err)
		return
	}
	c.out = resp.AppendInt(c.out, int64(ended))
}

// seconds reads a time of whole seconds.
func seconds(option, value string, most time.Duration) (time.Duration, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 || n > int64(most/time.Second) {
		return 0, fmt.Errorf("%s %.64q is not seconds, 1 to %d", option, value, int64(most/time.Second))
	}
	return time.Duration(n) * time.Second, nil
}

// texts copies arguments, which lie in the buffer of the connection.
func texts(args [][]byte) (texts []string) {
	for _, arg := range args {
		texts = append(texts, string(arg))
	}
	return texts
}
