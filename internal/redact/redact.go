// Package redact shows URLs, and errors about them, without the secrets that they have:
// the password before the host, and those among the options after it.
package redact

import (
	"net/url"
	"slices"
	"strings"
)

// hidden stands for a secret, as in url.URL.Redacted.
const hidden = "xxxxx"

// parts are words that the names of secret options have in them: password,
// sentinel_password, sslpassword, pwd, token, api_key and the like.
var parts = []string{"pass", "pwd", "secret", "token", "api_key", "apikey", "jwt", "auth"}

// files are options whose names are like those of secrets, and whose values are not.
var files = []string{"passfile"}

// isSecret tells whether an option is a secret by its name.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return !slices.Contains(files, name) && slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
}

// URL returns u as text with its secrets hidden. An option that cannot be read is
// hidden, since it may be one.
func URL(u *url.URL) string {
	shown := *u
	options := splitQuery(u)
	for i, o := range options {
		if o.secret {
			options[i].raw = o.rawName + "=" + hidden
		}
	}
	raw := make([]string, len(options))
	for i, o := range options {
		raw[i] = o.raw
	}
	shown.RawQuery = strings.Join(raw, "&")
	shown.Fragment, shown.RawFragment = "", ""
	return shown.Redacted()
}

// Text returns text with its secrets hidden if it is a URL, and as it is if not.
func Text(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return URL(u)
	}
	return text
}

// Error returns err with the secrets of u hidden in its text, wherever a driver may have
// quoted them. It unwraps to err.
func Error(err error, u *url.URL) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range secrets(u) {
		text = strings.ReplaceAll(text, s, hidden)
	}
	if text == err.Error() {
		return err
	}
	return redacted{text, err}
}

type redacted struct {
	text string
	err  error
}

func (r redacted) Error() string { return r.text }
func (r redacted) Unwrap() error { return r.err }

// least is the length from which a secret is looked for in errors. A shorter one keeps
// nobody out, and is in every word.
const least = 4

// secrets returns those of u, longest first, each as it stands there and as it is meant.
func secrets(u *url.URL) (found []string) {
	add := func(forms ...string) {
		for _, form := range forms {
			if len(form) >= least {
				found = append(found, form)
			}
		}
	}
	if password, ok := u.User.Password(); ok {
		_, escaped, _ := strings.Cut(u.User.String(), ":")
		add(password, escaped, url.QueryEscape(password))
	}
	for _, o := range splitQuery(u) {
		if o.secret {
			add(o.value, o.rawValue, url.QueryEscape(o.value))
		}
	}
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}

// option is one of a query, as it stands there and as it is meant.
type option struct {
	raw, rawName, rawValue string
	value                  string
	secret                 bool
}

func splitQuery(u *url.URL) (options []option) {
	if u.RawQuery == "" {
		return nil
	}
	for raw := range strings.SplitSeq(u.RawQuery, "&") {
		o := option{raw: raw}
		o.rawName, o.rawValue, _ = strings.Cut(raw, "=")
		name, err := url.QueryUnescape(o.rawName)
		value, valueErr := url.QueryUnescape(o.rawValue)
		o.value = value
		o.secret = err != nil || valueErr != nil || isSecret(name)
		options = append(options, o)
	}
	return options
}
