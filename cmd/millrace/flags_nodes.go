package main

import "millrace/internal/node"

// nodesFlags are about several nodes as one service.
type nodesFlags struct {
	Backplane     secret     `placeholder:"URL" help:"URL of the engine that links this node with others: redis://, rediss://, redis+sentinel://, redis+cluster://, postgres:// or nats://. Other users can read a command line: if there is a password, set the variable. [none]"`
	BackplaneFile secretFile `placeholder:"FILE" help:"File with the URL; it counts from the next start on. [none]"`
	ChannelPrefix string     `placeholder:"TEXT" help:"Text before channel names at the engine, with a colon between: channel_prefix of Rails' cable.yml. [none]"`
}

func (f *nodesFlags) set(o *node.Options) error {
	o.Backplane, o.ChannelPrefix = string(f.Backplane), f.ChannelPrefix
	return nil
}
