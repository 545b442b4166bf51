package main

import (
	"fmt"
	"time"

	"millrace/internal/node"
)

// streamFlags are about the life of streams, and what is kept for them.
type streamFlags struct {
	Keepalive    time.Duration `default:"15s" placeholder:"TIME" help:"Time between two pings of a stream; 0 for no pings. No stream is silent for longer than this. [${default}]"`
	History      int           `default:"128" min:"0" placeholder:"N" help:"Messages that a channel keeps; with 0, events have no id. [${default}]"`
	HistoryBytes size          `default:"256MiB" min:"1KiB" placeholder:"SIZE" help:"Memory for the messages that all channels keep; messages above --history go first. [${default}]"`
	HistoryTTL   time.Duration `name:"history-ttl" default:"5m" placeholder:"TIME" help:"Greatest age of a message that is kept; 0 for as long as there is room. [${default}]"`
	SlowTimeout  time.Duration `default:"30s" placeholder:"TIME" help:"How long a stream that is behind may take nothing, or less than 4 KiB a second; 0 for ever. [${default}]"`
	Drain        time.Duration `default:"30s" placeholder:"TIME" help:"Time over which streams are closed when the server is told to end; 0 for all at once. [${default}]"`
	DrainDelay   time.Duration `default:"0s" min:"0s" max:"8760h" placeholder:"TIME" help:"Time before the drain, for balancers to notice: /readyz says no and everything else goes on. [${default}]"`
	MaxLifetime  time.Duration `default:"0s" placeholder:"TIME" help:"Age at which a stream is closed, less up to a tenth, drawn for each; 0 for never. [${default}]"`
	Retry        time.Duration `default:"0s" placeholder:"TIME" help:"Reconnection delay told to clients; 0 leaves it to them. [${default}]"`
}

func (f *streamFlags) set(o *node.Options) error {
	if f.HistoryTTL < 0 {
		return fmt.Errorf("%w: --history-ttl: %v, want 0 (for as long as there is room) or more", errUsage, f.HistoryTTL)
	}
	o.Broker.History, o.Broker.MaxKept, o.Broker.HistoryTTL = f.History, int(f.HistoryBytes), f.HistoryTTL
	o.DrainDelay = f.DrainDelay
	p := &o.Public
	p.Keepalive, p.SlowTimeout, p.Drain, p.MaxLifetime, p.Retry = f.Keepalive, f.SlowTimeout, f.Drain, f.MaxLifetime, f.Retry
	return nil
}

// drainGrace is what the end takes beside the drain and its delay: for clients to take
// their last bytes.
const drainGrace = 2 * time.Second

// stopTime is how long it takes to end when told to.
func (f *streamFlags) stopTime() time.Duration { return f.DrainDelay + f.Drain + drainGrace }
