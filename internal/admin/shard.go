package admin

import (
	"fmt"
	"strings"

	"millrace/channels"
)

// A shard channel, which SPUBLISH and SSUBSCRIBE are about, is a channel of the broker
// whose name begins with channels.ShardPrefix. No other command reaches it.

func shard(name string) string { return channels.ShardPrefix + name }

func isShard(channel string) bool { return strings.HasPrefix(channel, channels.ShardPrefix) }

// shards makes channels of the names of shard channels.
func shards(names []string) []string {
	of := make([]string, len(names))
	for i, name := range names {
		of[i] = shard(name)
	}
	return of
}

// checkShard reports why name cannot name a shard channel.
func checkShard(name []byte) error {
	if most := channels.MaxName - len(channels.ShardPrefix); len(name) > most {
		return fmt.Errorf("%w: %.32q... has %d bytes, want at most %d for a shard channel", channels.ErrName, name, len(name), most)
	}
	return channels.CheckName(name)
}

// checkChannel reports why name cannot name a channel that is none of a shard.
func checkChannel(name []byte) error {
	if isShard(string(name)) {
		return fmt.Errorf("%w: %.64q is a shard channel, want SPUBLISH or SSUBSCRIBE and the name without %s",
			channels.ErrName, name, channels.ShardPrefix)
	}
	if string(name) == channels.ControlChannel {
		return fmt.Errorf("%w: nodes talk to each other on %q", channels.ErrName, name)
	}
	return channels.CheckName(name)
}
