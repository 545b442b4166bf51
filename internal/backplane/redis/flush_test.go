package redis

import "testing"

// Ensure that streams are told when all history is gone, and that nothing is lost
// afterwards.
func TestFlush(t *testing.T) {
	server := startProcess(t)
	address := "redis://" + server.address() + "/?history=streams"
	one, two := startNode(t, address), startNode(t, address)
	first, second := one.Open("", "/a"), two.Open("", "/a", "/b")
	before := one.Publish("/a", "1")
	first.Want("1")
	second.Want("1")
	server.do("FLUSHALL")
	two.Publish("/a", "2")
	one.Publish("/b", "3")
	one.Publish("/a", "4")
	first.Want("gap restart", "2", "4")
	second.Want("gap restart", "2", "3", "4") // one for both channels
	two.Open(before, "/a").Want("gap restart", "2", "4")
	one.Open(before, "/b").Want("gap restart", "3")
	two.Open(first.LastID, "/b", "/a").WantNothing()
	one.Publish("/b", "5")
	second.Want("5")
}
