package redis

import (
	"testing"

	"millrace/internal/backplane/enginetest"
)

func TestStreams(t *testing.T) {
	server := newServer(t, "--appendonly", "yes")
	server.query = "?history=streams"
	enginetest.Run(t, enginetest.Suite{Engine: server, Complete: true, Args: []string{"--channel-prefix", "app"}})
}
