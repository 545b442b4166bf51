package main

import (
	"time"

	"millrace/httpparse"
	"millrace/internal/node"
	"millrace/server"
)

// limitFlags bound what clients and publishers can make a node hold.
type limitFlags struct {
	MaxConnections          int             `default:"0" min:"0" placeholder:"N" help:"Open streams; 0 for as many as the descriptor limit allows. [${default}]"`
	MaxConnectionsPerIP     int             `name:"max-connections-per-ip" default:"0" min:"0" max:"2147483647" placeholder:"N" help:"Open connections of one client address, an IPv6 /64 counting as one; 0 for any number. [${default}]"`
	MaxConnectionsPerUser   int             `default:"0" min:"0" max:"2147483647" placeholder:"N" help:"Open streams of one user, as grants name users; a stream above it is told to come back; 0 for any number. [${default}]"`
	MaxChannels             int             `default:"0" min:"0" placeholder:"N" help:"Channels that streams may be on, all together; streams above it are told to come back; 0 for four times the connections. [${default}]"`
	MaxChannelsPerStream    int             `default:"64" min:"1" max:"1024" placeholder:"N" help:"Channels of one stream. [${default}]"`
	MaxStreamsPerConnection int             `default:"256" min:"1" max:"1024" placeholder:"N" help:"Streams of one connection of HTTP/2; a browser, which has one connection for all of its tabs, holds back a stream above it without a word. [${default}]"`
	AcceptRate              server.Rate     `default:"0" placeholder:"RATE" help:"New connections in a time, such as 1000/s: as many at once, and evenly from then on; streams above it are told to come back; 0 for any number. [${default}]"`
	AcceptRatePerIP         server.Rate     `name:"accept-rate-per-ip" default:"0" placeholder:"RATE" help:"The same for one client address, such as 30/m or 100/10s. [${default}]"`
	Loops                   int             `default:"0" min:"0" max:"1024" placeholder:"N" help:"Event loops; 0 for one a core, or for as many as --fd-tables per-loop takes. [${default}]"`
	FDTables                server.FDTables `name:"fd-tables" default:"auto" placeholder:"KIND" help:"Descriptor tables: shared, per-loop (Linux), or auto for per-loop when one is too small. [${default}]"`
	MaxEventBytes           size            `default:"60KiB" min:"1KiB" max:"16MiB" placeholder:"SIZE" help:"Data and type of one event, and also what they become in a stream. [${default}]"`
	HeaderTimeout           time.Duration   `default:"10s" placeholder:"TIME" help:"Time for a request head to arrive; 0 for ever. [${default}]"`
	MaxHeadBytes            size            `default:"16KiB" min:"64B" max:"1MiB" placeholder:"SIZE" help:"Size of a request head. [${default}]"`
	MaxHeaders              int             `default:"64" min:"1" max:"64" placeholder:"N" help:"Header lines of a request. [${default}]"`
}

func (f *limitFlags) set(o *node.Options) error {
	o.Broker.MaxEventBytes = int(f.MaxEventBytes)
	p := &o.Public
	p.MaxConnections, p.MaxConnectionsPerIP, p.MaxConnectionsPerUser = f.MaxConnections, f.MaxConnectionsPerIP, f.MaxConnectionsPerUser
	p.MaxChannels, p.MaxChannelsPerStream = f.MaxChannels, f.MaxChannelsPerStream
	p.MaxStreamsPerConnection = f.MaxStreamsPerConnection
	p.AcceptRate, p.AcceptRatePerIP = f.AcceptRate, f.AcceptRatePerIP
	p.Loops, p.FDTables = f.Loops, f.FDTables
	p.HeaderTimeout = f.HeaderTimeout
	p.Head = httpparse.Limits{MaxBytes: int(f.MaxHeadBytes), MaxHeaders: f.MaxHeaders}
	return nil
}
