package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"

	"millrace/internal/auth"
	"millrace/internal/auth/application"
	"millrace/internal/auth/jwt"
	"millrace/internal/auth/signature"
	"millrace/internal/auth/ticket"
	"millrace/internal/auth/token"
	"millrace/internal/dialect"
	"millrace/internal/pattern"
	"millrace/internal/turbo"
)

// Access says who may listen. With its zero value everybody may, but for names that take
// a signature (Options.TurboKey); with anything else every channel takes a grant.
type Access struct {
	// Public are the channels that take none; only names that begin with / are.
	Public pattern.List
	// JWT says which tokens grant.
	JWT JWT
	// SignKeys are those of signed addresses; the first is the one that signs now.
	SignKeys []string
	// TicketKeys are those of tickets, as ticket.ParseKeys reads them, or RandomKey. Beside
	// other means there are tickets in any case.
	TicketKeys string
	// Application is asked about what no other means decides, if it has a URL. The node sets
	// Kicks and Logger.
	Application application.Config
}

// RandomKey stands for a key of tickets that nobody else has.
const RandomKey = "random"

// JWT says which JSON Web Tokens grant.
type JWT struct {
	Keys, Files, Sets  []string // see token.OpenKeyring
	Audiences, Issuers []string // one of each is wanted; token.AnyAudience for any
	Cookie             string   // that may have the token; empty: none
	Grants             []string // where grants stand, see jwt.ParseForm
}

// isOn tells whether there are keys of tokens.
func (j *JWT) isOn() bool { return len(j.Keys)+len(j.Files)+len(j.Sets) > 0 }

// IsOpen tells whether nothing takes a grant.
func (a *Access) IsOpen() bool {
	return !a.JWT.isOn() && len(a.SignKeys) == 0 && a.TicketKeys == "" && a.Application.URL == ""
}

// Check reports what contradicts itself. Errors are an ErrOptions.
func (a *Access) Check() error {
	wrong := func(text string) error { return fmt.Errorf("%w: %s", ErrOptions, text) }
	for _, p := range a.Public {
		if text := p.String(); !strings.HasPrefix(text, "/") && text != "*" {
			return wrong(fmt.Sprintf("--public %q opens nothing: only channels whose names begin with / can be public; want /%s, or none", text, text))
		}
	}
	switch j := &a.JWT; {
	case a.IsOpen() && len(a.Public) > 0:
		return wrong("--public names what is open to everybody, while nothing else takes a grant: want --jwt-key, --jwt-jwks, --sign-key, --ticket-key or --auth-url, too")
	case !j.isOn() && len(j.Audiences)+len(j.Issuers) > 0:
		return wrong("--jwt-audience and --jwt-issuer are about tokens: want --jwt-key or --jwt-jwks, too")
	case len(j.Sets) > 0 && len(j.Audiences) == 0:
		return wrong("--jwt-jwks without --jwt-audience: the signer has other applications, whose tokens would do; want the audience (aud) of those that are for this server, or \"any\"")
	case len(j.Audiences) > 1 && slices.Contains(j.Audiences, token.AnyAudience):
		return wrong("--jwt-audience: \"any\" beside others, want it alone or only those")
	}
	return nil
}

// access is what decides which streams may be opened. Its keys can be renewed while it
// decides. What the options do not have is nil.
type access struct {
	verifier    atomic.Pointer[turbo.Verifier] // of signed names
	keyring     *token.Keyring
	tokens      *token.Tokens
	signatures  *signature.Signatures
	tickets     *ticket.Tickets
	application *application.Application
	kicks       auth.Kicks
}

// open has the public port ask a, if there is something to ask about: without any keys,
// everything is open. After an error it is to be closed, too.
func (a *access) open(o *Options) error {
	if err := o.Access.Check(); err != nil {
		return err
	}
	verifier, err := o.verifier()
	if err != nil {
		return err
	}
	a.verifier.Store(verifier)
	if verifier != nil {
		o.Public.Dialects = []dialect.Dialect{dialect.Turbo{}}
		o.Public.Authorizer = auth.Turbo{Verifier: a.verifier.Load}
	}
	if o.Access.IsOpen() {
		return nil
	}
	o.Public.Dialects = append(o.Public.Dialects, dialect.Nameless{Aliases: o.Public.Aliases})
	means, err := a.means(o)
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		return err // it may be there next time
	} else if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	o.Public.Authorizer = &auth.Rule{Public: o.Access.Public, Means: means, Kicks: &a.kicks}
	return nil
}

// means returns those of o in the order in which they are looked for.
func (a *access) means(o *Options) (means []auth.Means, err error) {
	keys, err := ticketKeys(o.Access.TicketKeys)
	if err != nil {
		return nil, fmt.Errorf("--ticket-key: %w", err)
	}
	a.tickets = ticket.New(keys)
	means = append(means, a.tickets)
	if len(o.Access.SignKeys) > 0 {
		if a.signatures, err = signature.New(o.Access.SignKeys); err != nil {
			return nil, fmt.Errorf("--sign-key: %w", err)
		}
		means = append(means, a.signatures)
	}
	if a.verifier.Load() != nil {
		means = append(means, auth.Turbo{Verifier: a.verifier.Load})
	}
	if j := &o.Access.JWT; j.isOn() {
		form, err := jwt.ParseForm(j.Grants)
		if err != nil {
			return nil, fmt.Errorf("--jwt-grants: %w", err)
		}
		if a.keyring, err = token.OpenKeyring(j.Keys, j.Files, j.Sets, o.Logger); err != nil {
			return nil, fmt.Errorf("--jwt-key, --jwt-key-file or --jwt-jwks: %w", err)
		}
		a.tokens = token.New(token.Config{Keys: a.keyring, Form: form, Audiences: j.Audiences, Issuers: j.Issuers, Cookie: j.Cookie})
		means = append(means, a.tokens)
	}
	if cfg := o.Access.Application; cfg.URL != "" {
		cfg.Kicks, cfg.Logger = &a.kicks, o.Logger
		if a.application, err = application.New(cfg); err != nil {
			return nil, fmt.Errorf("--auth-url: %w", err)
		}
		means = append(means, a.application)
	}
	return means, nil
}

// ticketKeys reads the keys of tickets. Without any, tickets end with the process.
func ticketKeys(text string) (*ticket.Keys, error) {
	if text == "" || text == RandomKey {
		return ticket.RandomKeys(), nil
	}
	return ticket.ParseKeys(text)
}

// renew takes over the keys of o, or with an error none of them. Files with keys of tokens
// that cannot be read are logged, and leave their keys as they are.
func (a *access) renew(o *Options) error {
	verifier, err := o.verifier()
	if err != nil {
		return err
	}
	tickets, err := ticketKeys(o.Access.TicketKeys)
	if err == nil && a.signatures != nil {
		err = a.signatures.SetKeys(o.Access.SignKeys)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if verifier != nil {
		a.verifier.Store(verifier)
	}
	if a.tickets != nil && o.Access.TicketKeys != "" && o.Access.TicketKeys != RandomKey {
		a.tickets.SetKeys(tickets)
	}
	if a.keyring != nil {
		if err := a.keyring.Reload(o.Access.JWT.Keys); err != nil {
			o.Logger.Error("keys of tokens cannot be read again, they stay as they are", "error", err)
		}
	}
	return nil
}

// close ends what goes on in the background.
func (a *access) close() {
	if a.tokens != nil {
		a.tokens.Close()
	}
	if a.application != nil {
		a.application.Close()
	}
}

// ExamineAccess opens what decides who may listen, as a node does, and says which keys of
// tokens there are. Errors are those of Start, and of fetching keys.
func (o *Options) ExamineAccess(ctx context.Context) (keys []string, err error) {
	a := new(access)
	defer a.close()
	if err := a.open(o); err != nil || a.keyring == nil {
		return nil, err
	}
	err = a.keyring.Fetched(ctx)
	for _, k := range *a.keyring.Set() {
		keys = append(keys, strings.TrimSpace(k.Algorithm+" "+k.ID))
	}
	return keys, err
}

// String says who may listen, for the log and for doctor.
func (a *Access) String() string {
	if a.IsOpen() {
		return "anybody may listen to every channel"
	}
	var means []string
	add := func(is bool, name string) {
		if is {
			means = append(means, name)
		}
	}
	add(true, "a ticket")
	add(len(a.SignKeys) > 0, "a signed address")
	add(a.JWT.isOn(), "a token")
	add(a.Application.URL != "", "the application's word")
	text := "every channel takes a grant, by " + strings.Join(means, " or ")
	if len(a.Public) > 0 {
		text += fmt.Sprintf("; open to anybody: %v", a.Public)
	}
	return text
}

// verifier returns what tells which names the application has signed, nil if there is no
// key for it.
func (o *Options) verifier() (*turbo.Verifier, error) {
	switch {
	case o.TurboKey != "" && o.TurboSecretKeyBase != "":
		return nil, fmt.Errorf("%w: --turbo-key and --turbo-secret-key-base are both set: want the key, or that from which Rails derives it", ErrOptions)
	case o.TurboKey != "":
		return turbo.NewVerifier(o.TurboKey), nil
	case o.TurboSecretKeyBase != "":
		verifier, err := turbo.NewDerivedVerifier(o.TurboSecretKeyBase)
		if err != nil {
			return nil, fmt.Errorf("%w: --turbo-secret-key-base: %w", ErrOptions, err)
		}
		return verifier, nil
	}
	return nil, nil
}
