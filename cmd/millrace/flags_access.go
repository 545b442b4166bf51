package main

import (
	"errors"
	"fmt"
	"strings"

	"millrace/internal/auth/application"
	"millrace/internal/node"
	"millrace/internal/pattern"
)

// accessFlags say who may listen. Without any of them everybody may.
type accessFlags struct {
	Public          []string     `placeholder:"PATTERN" help:"Channels that everybody may open where others take a grant, as patterns of --channel; names that begin with / only; repeatable. [none]"`
	JWTKey          []secret     `name:"jwt-key" sep:"none" placeholder:"TEXT" help:"Key of JSON Web Tokens: a secret for HS256, or a public key in PEM for RS256, ES256, ES384, ES512 or EdDSA; for another algorithm, its name stands before the key, as in PS256:-----BEGIN. Every key counts; repeatable. Other users can read a command line: set the variable, for one key. [none]"`
	JWTKeyFile      []secretFile `name:"jwt-key-file" placeholder:"FILE" help:"File with one such key, read again when it changes and on SIGHUP; repeatable. [none]"`
	JWTJWKS         []secret     `name:"jwt-jwks" placeholder:"URL" help:"JSON Web Key Set, an https:// URL or a file; takes --jwt-audience; repeatable. [none]"`
	JWTAudience     []given      `name:"jwt-audience" placeholder:"TEXT" help:"Audience (aud) that a token has to name, or any; repeatable, one is enough. [any, but with --jwt-jwks]"`
	JWTIssuer       []given      `name:"jwt-issuer" placeholder:"TEXT" help:"Issuer (iss) that a token has to name; repeatable, one is enough. [any]"`
	JWTCookie       string       `name:"jwt-cookie" default:"mercureAuthorization" placeholder:"NAME" help:"Cookie that may have the token. [${default}]"`
	JWTGrants       []string     `name:"jwt-grants" default:"mercure,channels" placeholder:"CLAIM" help:"Claims that grant: mercure, channels, channel, subs or ably; repeatable. [${default}]"`
	SignKey         []secret     `sep:"none" placeholder:"TEXT" help:"Key of signed addresses, of 32 bytes or more; millrace sign signs with the first, and every key counts; repeatable. Other users can read a command line: set the variable, for one key. [none]"`
	SignKeyFile     []secretFile `placeholder:"FILE" help:"File with such a key; read again on SIGHUP; repeatable. [none]"`
	TicketKey       secret       `placeholder:"TEXT" help:"Key of tickets, of 32 bytes or more, or two with a comma between, of which the first seals. Nodes with the same key open each other's tickets. With random, tickets end with the process. Other users can read a command line: set the variable. [random beside other means, else no tickets]"`
	TicketKeyFile   secretFile   `placeholder:"FILE" help:"File with the key; read again on SIGHUP. [none]"`
	AuthURL         given        `name:"auth-url" placeholder:"URL" help:"Address of the application that decides who may listen, asked once for each channel, as by nginx's auth_request. [none]"`
	AuthCookie      string       `placeholder:"NAME" help:"The only cookie that the application gets. [all]"`
	AuthConcurrency int          `default:"32" min:"1" max:"1024" placeholder:"N" help:"Requests that the application gets at a time. [${default}]"`
}

func (f *accessFlags) set(o *node.Options) (err error) {
	a := &o.Access
	if a.Public, err = pattern.ParseList(f.Public); err != nil {
		return fmt.Errorf("%w: --public: %w", errUsage, err)
	}
	a.JWT = node.JWT{
		Keys: texts(f.JWTKey), Files: texts(f.JWTKeyFile), Sets: texts(f.JWTJWKS),
		Audiences: texts(f.JWTAudience), Issuers: texts(f.JWTIssuer), Cookie: f.JWTCookie, Grants: f.JWTGrants,
	}
	a.SignKeys = texts(f.SignKey)
	a.TicketKeys = string(f.TicketKey)
	a.Application = application.Config{URL: string(f.AuthURL), Cookie: f.AuthCookie, Concurrency: f.AuthConcurrency}
	return a.Check()
}

// resolveKeys adds the keys of signed addresses that are in files. Those of tokens are read
// by the node, which looks at their files from time to time.
func (f *accessFlags) resolveKeys() error {
	keys := append([]secret(nil), f.SignKey...)
	for _, file := range f.SignKeyFile {
		key, err := file.read()
		if err != nil {
			return fmt.Errorf("--sign-key-file: %w", err)
		}
		keys = append(keys, key)
	}
	f.SignKey = keys
	return nil
}

// signKeys are the keys of signed addresses in one text, to compare.
func (f *accessFlags) signKeys() *secret {
	all := secret(strings.Join(texts(f.SignKey), "\n"))
	return &all
}

// given is a text that counts for who may listen. One that is set and empty is refused: to
// go on without would let others in.
type given string

func parseGiven(text string) (given, error) {
	if text == "" {
		return "", errors.New("set and empty")
	}
	return given(text), nil
}

func texts[T ~string](list []T) (texts []string) {
	for _, t := range list {
		texts = append(texts, string(t))
	}
	return texts
}
