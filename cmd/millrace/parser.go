package main

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"millrace/server"
)

// newParser returns a parser of command lines into target, whose fields may
// have the tags min and max besides those of kong. A flag that is not given is
// looked for in the environment: --max-connections is MILLRACE_MAX_CONNECTIONS.
func newParser(target any, options ...kong.Option) *kong.Kong {
	return kong.Must(target, append([]kong.Option{
		kong.Name("millrace"),
		kong.Description("A server that holds a very large number of event streams (Server-Sent Events) and broadcasts to them."),
		kong.DefaultEnvars("MILLRACE"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		reader("text", func(text string) (string, error) { return text, nil }),
		reader(wantSecret, parseSecret), listReader(wantSecret, parseSecret),
		reader(wantGiven, parseGiven), listReader(wantGiven, parseGiven),
		reader(wantSecretFile, parseSecretFile), listReader(wantSecretFile, parseSecretFile),
		reader("HOST:PORT or :PORT; port 0 picks a free one", parseAddress),
		reader("HOST:PORT, :PORT, or off for no such port", parsePortAddress),
		reader("a whole number", strconv.Atoi),
		reader("a duration such as 500ms, 15s or 1h30m", time.ParseDuration),
		reader("a level: debug, info, warn or error", parseLevel),
		readerBy("a rate such as 1000/s, 30/m or 100/10s, at most 1000000 in 1s to 24h, or 0 for no limit", server.ParseRate, func(_, _ server.Rate) int { return 0 }),
		reader("a size such as 65536, 64KiB, 256MiB or 1GiB", parseSize),
	}, options...)...)
}

// What a value has to be if it may not be empty.
const (
	wantSecret     = "a secret: has the command that should give it failed? For none, leave out the flag and the variable"
	wantGiven      = "a text that is not empty: for none, leave out the flag and the variable"
	wantSecretFile = "the path of a file that has a secret: for none, leave out the flag and the variable"
)

// listReader has lists of T read, whose values have commas between unless the tag sep says
// "none". An empty variable is refused like an empty value, which kong's own would pass over.
func listReader[T any](want string, parse func(string) (T, error)) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[[]T](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		token, err := ctx.Scan.PopValue("")
		if err != nil {
			return fmt.Errorf("the value is missing, want %s", want)
		}
		texts := kong.SplitEscaped(token.String(), ctx.Value.Tag.Sep)
		if len(texts) == 0 {
			texts = []string{""}
		}
		for _, text := range texts {
			v, err := parse(text)
			if err != nil {
				return fmt.Errorf("%q, want %s", text, want)
			}
			target.Set(reflect.Append(target, reflect.ValueOf(v)))
		}
		return nil
	}))
}

// negative is a number below 0, which the parser takes for a flag.
var negative = regexp.MustCompile(`^-[0-9.]`)

// reader has fields of type T read by parse, within the bounds of their tags.
// want describes the texts that parse takes.
func reader[T cmp.Ordered](want string, parse func(string) (T, error)) kong.Option {
	return readerBy(want, parse, cmp.Compare[T])
}

// readerBy is reader for types that have an order of their own, or none.
func readerBy[T any](want string, parse func(string) (T, error), compare func(a, b T) int) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		low, high := ctx.Value.Tag.Get("min"), ctx.Value.Tag.Get("max")
		want := want
		if low != "" {
			want += ", at least " + low
		}
		if high != "" {
			want += ", at most " + high
		}
		token, err := ctx.Scan.PopValue("")
		if err != nil && negative.MatchString(token.String()) { // a value, though it looks like a flag
			err = nil
		}
		switch {
		case err != nil && token.IsEOL():
			return fmt.Errorf("the value is missing, want %s", want)
		case err != nil:
			return fmt.Errorf("the value is missing before %q, want %s", token, want)
		}
		v, err := parse(token.String())
		bound := func(text string, fallback T) T {
			if text == "" {
				return fallback
			}
			bound, err := parse(text)
			if err != nil {
				panic(err) // the tag is wrong
			}
			return bound
		}
		if err != nil || compare(v, bound(low, v)) < 0 || compare(v, bound(high, v)) > 0 {
			return fmt.Errorf("%q, want %s", token, want)
		}
		target.Set(reflect.ValueOf(v))
		return nil
	}))
}
