package postgres

import (
	"context"

	"millrace/internal/backplane/link"
)

// Describe tells what the server is.
func (b *Backplane) Describe(ctx context.Context) ([]link.Fact, error) {
	var version, encoding string
	err := b.pool.QueryRow(ctx, "SELECT current_setting('server_version'), current_setting('server_encoding')").Scan(&version, &encoding)
	if err != nil {
		return nil, err
	}
	facts := []link.Fact{{Name: "version", Value: "PostgreSQL " + version}}
	if encoding != "UTF8" {
		facts = append(facts, link.Fact{Name: "encoding", Value: encoding, Note: "notifications are refused of names and data that it has not"})
	}
	return facts, nil
}
