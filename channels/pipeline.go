package channels

// Publication is an event on its way in a pipeline, and what has become of it.
type Publication struct {
	Channel string
	Event   Event
	Receipt Receipt
	Err     error // as of Broker.Publish
}

// Pipeline is a Backplane whose engine takes many events without being waited for
// between them.
type Pipeline interface {
	Backplane
	// PublishAll is Publish for all of batch, in order, within the bounded time of
	// one. It sets Receipt and Err of each.
	PublishAll(batch []*Publication)
}

// PublishOne is the Publish of a Pipeline: a batch of one. Safe for concurrent use.
func PublishOne(p Pipeline, channel string, ev Event) (Receipt, error) {
	one := Publication{Channel: channel, Event: ev}
	p.PublishAll([]*Publication{&one})
	return one.Receipt, one.Err
}

// FailAll sets why none of batch was published.
func FailAll(batch []*Publication, err error) {
	for _, p := range batch {
		p.Err = err
	}
}

// Linked tells whether the broker has a backplane, so that one who publishes waits
// for an engine. Safe for concurrent use.
func (b *Broker) Linked() bool { return b.opts.Backplane != nil }

// PublishAll is Publish for all of batch, in order, and sets what has become of each.
// Where there is a backplane, it waits once for many.
func (b *Broker) PublishAll(batch []Publication) {
	p, pipelined := b.backplane.(Pipeline)
	var accepted []*Publication
	for i := range batch {
		switch one := &batch[i]; {
		case !pipelined:
			one.Receipt, one.Err = b.Publish(one.Channel, one.Event)
		default:
			if one.Err = b.accepts(one.Channel, one.Event); one.Err == nil {
				accepted = append(accepted, one)
			}
		}
	}
	if len(accepted) > 0 {
		b.publishAll(p, accepted)
	}
}
