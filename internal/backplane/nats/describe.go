package nats

import (
	"context"
	"errors"

	"millrace/internal/backplane/link"
)

// Describe tells what the server is. It is to be called while there is a session.
func (b *Backplane) Describe(context.Context) ([]link.Fact, error) {
	s := b.session.Load()
	if s == nil {
		return nil, errors.New("not connected to NATS")
	}
	return []link.Fact{{Name: "version", Value: "NATS " + s.conn.ConnectedServerVersion(), Note: "history=jetstream needs 2.10"}}, nil
}
