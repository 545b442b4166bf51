package redis

import (
	"context"
	"strings"

	"millrace/internal/backplane/link"
)

// Describe tells what the server is, as far as its user may ask.
func (b *Backplane) Describe(ctx context.Context) ([]link.Fact, error) {
	info, err := b.client.Info(ctx).Result()
	if err != nil {
		return []link.Fact{{Name: "INFO", Value: "refused", Note: err.Error()}}, nil
	}
	var facts []link.Fact
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "redis_version":
			facts = append(facts, link.Fact{Name: "version", Value: "Redis " + value})
		case "maxmemory_policy":
			f := link.Fact{Name: "maxmemory-policy", Value: value}
			if b.history != nil && value != "noeviction" {
				f.Note = "may evict the history of a channel, which clients are told of: want noeviction"
			}
			facts = append(facts, f)
		}
	}
	return facts, nil
}
