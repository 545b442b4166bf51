package redis

import (
	"testing"

	"millrace/internal/backplane/enginetest"
)

func TestStreams(t *testing.T) {
	server := newServer(t, "--appendonly", "yes").restrict()
	server.query = "?history=streams"
	enginetest.Run(t, enginetest.Suite{Engine: server, Refused: "/stranger ", Complete: true, Pipelined: true, Args: []string{"--channel-prefix", "app"}})
}

// Ensure that a message whose announcement is lost comes before the next one.
func TestAnnouncementLost(t *testing.T) {
	server := startProcess(t)
	node := startNode(t, "redis://"+server.address()+"/?history=streams")
	stream := node.Open("", "/a")
	node.Publish("/a", "1")
	stream.Want("1")
	server.do("EVAL", `local seq = redis.call('HINCRBY', KEYS[1], 'seq', 2)
		redis.call('XADD', KEYS[2], string.format('%.0f-0', seq), 'm', '2')
		return 1`, "2", "{millrace:0}:clock", "{millrace:0}:stream:/a")
	node.Publish("/a", "3")
	stream.Want("2", "3")
}
