package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"millrace/channels"
	"millrace/internal/backplane/link"
	"millrace/internal/doctor"
	"millrace/internal/node"
)

// enginePatience bounds each step of the doctor with an engine.
const enginePatience = 5 * time.Second

// examineEngine connects to the engine that --backplane names and has an event go through
// it, as between two nodes: so an address, a password, a permission and a pooler that
// passes nothing on all show. ok tells that the event came.
func (c *doctorCommand) examineEngine() (settings []doctor.Setting, ok bool, err error) {
	o := node.Options{
		Backplane: string(c.Backplane), ChannelPrefix: c.ChannelPrefix,
		Broker: channels.Options{History: 128}, Logger: slog.New(slog.DiscardHandler),
	}
	b, err := node.OpenBackplane(&o)
	if err != nil {
		return nil, false, err
	}
	broker := channels.NewBroker(o.Broker)
	b.Start(broker.Feed())
	defer b.Close()
	tell := func(name, value, note string) {
		settings = append(settings, doctor.Setting{Name: "backplane: " + name, Value: value, Note: note})
	}
	begun := time.Now()
	for broker.Health() != nil {
		if time.Since(begun) > enginePatience {
			tell("reach", "no", broker.Health().Error())
			return settings, false, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	tell("reach", "yes", fmt.Sprintf("after %v", time.Since(begun).Round(time.Millisecond)))
	ctx, cancel := context.WithTimeout(context.Background(), enginePatience)
	defer cancel()
	if d, can := b.(interface {
		Describe(context.Context) ([]link.Fact, error)
	}); can {
		facts, err := d.Describe(ctx)
		if err != nil {
			tell("version", "unknown", err.Error())
		}
		for _, f := range facts {
			tell(f.Name, f.Value, f.Note)
		}
	}
	ok, note := roundTrip(ctx, broker)
	tell("an event through it", map[bool]string{true: "comes", false: "does not come"}[ok], note)
	return settings, ok, nil
}

// roundTrip publishes on a channel that it listens to until it is heard.
func roundTrip(ctx context.Context, broker *channels.Broker) (ok bool, note string) {
	const channel = "/millrace-doctor"
	p := probe{rand.Text(), make(chan struct{}, 1)}
	broker.Ports().Observe(p, channel)
	defer broker.Ports().Unobserve(p, channel)
	var published bool
	var failed error
	for {
		begun := time.Now()
		if _, err := broker.Publish(channel, channels.Event{Data: []byte(p.text)}); err != nil {
			failed = err
		} else {
			published = true
		}
		select {
		case <-p.heard:
			return true, fmt.Sprintf("after %v", time.Since(begun).Round(100*time.Microsecond))
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			switch {
			case broker.Ports().Figures().Refused > 0:
				note = "the engine refuses " + channel + ": this user needs the permissions of docs/scaling.md"
			case published:
				note = "it is published, and not passed on: a pooler in transaction mode, perhaps, want session mode"
			}
			if failed != nil {
				note = cmp.Or(note, "publishing fails") + ": " + failed.Error()
			}
			return false, note
		}
	}
}

// probe hears the doctor's event.
type probe struct {
	text  string
	heard chan struct{}
}

// Hear implements channels.Observer.
func (p probe) Hear(_ channels.Glob, _ string, data []byte) {
	if string(data) == p.text {
		select {
		case p.heard <- struct{}{}:
		default:
		}
	}
}
