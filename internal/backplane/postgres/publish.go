package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"millrace/channels"
	"millrace/internal/backplane/envelope"
)

var (
	errNotPublished   = errors.New("the event was not published")
	errMaybePublished = errors.New("the event may not have been published")
	errCutOff         = errors.New("the database has not answered")
)

// statement is SQL with its parameters, in PostgreSQL's binary format.
type statement struct {
	sql    string
	values [][]byte
}

// Send implements channels.Backplane. It waits for the commit.
func (b *Backplane) Send(channel string, ev channels.Event) (channels.Receipt, error) {
	return channels.SendOne(b, channel, ev)
}

// SendAll implements channels.Pipeline, over one connection. Each event has a
// transaction of its own: an error concerns no other, and two notifications that are the
// same are two.
func (b *Backplane) SendAll(batch []*channels.Publication) {
	if err := b.Down(); err != nil {
		channels.FailAll(batch, fmt.Errorf("%w: %w", errNotPublished, err))
		return
	}
	ctx, cancel := context.WithTimeout(b.closed, publishTimeout)
	defer cancel()
	var sent []*channels.Publication
	var statements []statement
	for _, p := range batch {
		s, err := b.follower.statement(b.prefix+p.Channel, envelope.Append([]byte{}, p.Event))
		if p.Err = err; err == nil {
			sent, statements = append(sent, p), append(statements, s)
		}
	}
	if len(sent) == 0 {
		return
	}
	mark := b.Sends()
	results := make([]error, len(sent))
	if err := b.execute(ctx, statements, results); errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		b.Unanswered(mark)
	}
	for i, p := range sent {
		if err := results[i]; err != nil {
			p.Err = fmt.Errorf("%w: %w", errMaybePublished, err)
			continue
		}
		p.Receipt.Receivers = b.Feed.Subscribers(p.Channel)
	}
	b.follower.published()
}

// execute executes statements, in order, each in a transaction of its own, and sets the
// result of each. It returns the error that ended all of them, if there was one.
func (b *Backplane) execute(ctx context.Context, statements []statement, results []error) error {
	for i := range results {
		results[i] = errCutOff
	}
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		for i := range results {
			results[i] = err
		}
		return err
	}
	defer conn.Release()
	pipeline := conn.Conn().PgConn().StartPipeline(ctx)
	for _, s := range statements {
		formats := make([]int16, len(s.values))
		for i := range formats {
			formats[i] = 1
		}
		pipeline.SendQueryParams(s.sql, s.values, nil, formats, nil)
		pipeline.SendPipelineSync()
	}
	if err = pipeline.Flush(); err == nil {
		err = collect(pipeline, results)
	}
	if closing := pipeline.Close(); err == nil {
		err = closing
	}
	return err
}

// collect sets the result of each statement of a pipeline.
func collect(pipeline *pgconn.Pipeline, results []error) error {
	for i := 0; i < len(results); {
		result, err := pipeline.GetResults()
		var said *pgconn.PgError
		switch result := result.(type) {
		case *pgconn.ResultReader:
			_, err = result.Close()
			results[i] = err
		case *pgconn.PipelineSync:
			i++
			continue
		case nil:
			if err == nil {
				return errCutOff
			}
		}
		if results[i] = err; err != nil && !errors.As(err, &said) {
			for ; i < len(results); i++ {
				results[i] = err
			}
			return err
		}
	}
	return nil
}
