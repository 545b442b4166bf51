package application

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dchest/siphash"

	"millrace/httpparse"
	"millrace/internal/auth"
	"millrace/internal/dialect"
)

// question is one request to the application. It has what the request is made of, and no
// header that a client has chosen the name of.
type question struct {
	key     key
	request *auth.Request
	cookie  string // of the client, as much of it as is passed on
	channel string // that it is about; empty for none
	path    string // of that channel, encoded in the one way that there is
	uri     string // path with the rest of the query
}

// key is what an answer is kept under: a keyed hash of what the application bases it on,
// which is all that it is told but the User-Agent and the client's address.
type key [2]uint64

// keys are those of the hash, drawn for a run.
type keys [4]uint64

// questions returns what there is to ask about the channels that need a grant, or why the
// request is refused without asking.
func (a *Application) questions(r *auth.Request, need []string) ([]question, auth.Verdict) {
	if len(need) > maxChannels {
		return nil, refuse(auth.Forbidden, "channels", fmt.Sprintf("%d channels in one stream, want at most %d, since the application is asked about each",
			len(need), maxChannels))
	}
	for _, value := range []string{r.Cookie, r.Authorization, r.Origin, r.UserAgent, r.Host, r.Method} {
		if !isValue(value) {
			return nil, refuse(auth.Unauthorized, "malformed", "a header has a control character")
		}
	}
	common := question{request: r, cookie: a.passedCookie(r)}
	rest, ok := restOfQuery(r.Query)
	if !ok {
		return nil, refuse(auth.Forbidden, "query", fmt.Sprintf("a query of more than %d bytes beside channels and credentials", maxRest))
	}
	digest := a.keys.digest(&common)
	if len(need) == 0 { // the application may name some
		path, err := httpparse.AppendPathDecoded(nil, []byte(r.Path))
		if err != nil || !isPath(string(path)) {
			return nil, refuse(auth.Forbidden, "path", "the address is none that the application can be asked about")
		}
		common.path = encodePath(string(path))
		common.uri = common.path + rest
		common.key = a.keys.key(digest, common.uri)
		return []question{common}, auth.Verdict{}
	}
	questions := make([]question, len(need))
	for i, channel := range need {
		if !isPath(channel) {
			return nil, refuse(auth.Forbidden, "path", fmt.Sprintf(
				"the application is asked about paths, and the channel %.64q is none: want /, and no segment between slashes that is empty, . or ..", channel))
		}
		q := common
		q.channel, q.path = channel, encodePath(channel)
		q.uri = q.path + rest
		q.key = a.keys.key(digest, q.uri)
		questions[i] = q
	}
	return questions, auth.Verdict{}
}

// size is how many bytes the texts of a question have that are its own.
func (q *question) size() int {
	r := q.request
	return len(q.uri) + len(q.path) + len(q.channel) + len(r.Cookie) + len(r.Authorization) + len(r.Origin) + len(r.UserAgent) + len(r.Query) + len(r.Host)
}

// digest hashes what all questions of a request have in common.
func (k *keys) digest(q *question) (digest [16]byte) {
	var space [1024]byte
	text, r := space[:0], q.request
	for _, field := range []string{q.cookie, r.Authorization, r.Origin, r.Method, r.Host, proto(r)} {
		text = append(binary.AppendUvarint(text, uint64(len(field))), field...)
	}
	low, high := siphash.Hash128(k[0], k[1], text)
	binary.LittleEndian.PutUint64(digest[:], low)
	binary.LittleEndian.PutUint64(digest[8:], high)
	return digest
}

// key adds what a question is about.
func (k *keys) key(digest [16]byte, uri string) key {
	var space [512]byte
	low, high := siphash.Hash128(k[2], k[3], append(append(space[:0], digest[:]...), uri...))
	return key{low, high}
}

// header returns the header of a question, made anew: of the client only what is listed
// here, and beside it what is ours.
func (q *question) header() http.Header {
	r := q.request
	h := http.Header{
		"User-Agent":         {r.UserAgent}, // empty: none is sent
		"X-Forwarded-Method": {r.Method},
		"X-Forwarded-Proto":  {proto(r)},
		"X-Forwarded-Host":   {r.Host},
		"X-Forwarded-Uri":    {q.uri},
		"X-Original-Uri":     {q.uri},
	}
	if r.Client.IsValid() {
		h.Set("X-Forwarded-For", r.Client.Unmap().WithZone("").String())
	}
	if q.channel != "" {
		h.Set("X-Channel-Id", q.path)
	}
	for name, value := range map[string]string{"Cookie": q.cookie, "Authorization": r.Authorization, "Origin": r.Origin} {
		if value != "" {
			h.Set(name, value)
		}
	}
	return h
}

func proto(r *auth.Request) string {
	if r.Secure {
		return "https"
	}
	return "http"
}

// passedCookie returns as much of the client's cookies as is passed on: none that a page
// of another site has the browser send, unless its origin is allowed.
func (a *Application) passedCookie(r *auth.Request) string {
	foreign := r.FetchSite != "" && r.FetchSite != "same-origin" && r.FetchSite != "same-site"
	switch {
	case foreign && !r.OriginAllowed:
		return ""
	case a.cookie == "":
		return r.Cookie
	}
	var passed []string
	for pair := range strings.SplitSeq(r.Cookie, ";") {
		pair = strings.Trim(pair, " \t")
		if name, _, _ := strings.Cut(pair, "="); strings.TrimRight(name, " \t") == a.cookie {
			passed = append(passed, pair)
		}
	}
	return strings.Join(passed, "; ")
}

// isPath tells whether a channel is a path that everybody takes for the same: servers
// resolve . and .. and merge slashes, and would be asked about another one.
func isPath(channel string) bool {
	if !strings.HasPrefix(channel, "/") {
		return false
	}
	segments := strings.Split(channel[1:], "/")
	return !slices.ContainsFunc(segments, func(s string) bool { return s == "." || s == ".." }) &&
		!slices.Contains(segments[:len(segments)-1], "")
}

// encodePath encodes a path in the one way that has no choice: all but slashes and
// unreserved characters (RFC 3986, 2.3) is escaped.
func encodePath(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// ours are the parameters that are not passed on: those that name channels or are
// credentials of other means. What a client has seen last is none of the application's
// business, and would make every return a new question.
var ours = []string{
	"channel", "ticket", "signature", "expires", "signed_stream", "signed_stream_name", "turbo_signed_stream_name",
	"authorization", "access_token", "jid",
}

// maxRest bounds what is passed on of a query, in bytes as received: an event loop encodes it
// anew, and each question has a copy.
const maxRest = 2 << 10

// restOfQuery returns what is passed on of a query, encoded anew with ? before it, empty
// if nothing is. It returns false if that is too much.
func restOfQuery(query string) (rest string, ok bool) {
	var b strings.Builder
	size := 0
	for rawName, rawValue := range httpparse.Params([]byte(query)) {
		name, err := httpparse.AppendQueryDecoded(nil, rawName)
		if err != nil || isOurs(string(name)) {
			continue
		}
		value, err := httpparse.AppendQueryDecoded(nil, rawValue)
		if err != nil {
			continue
		}
		if size += len(rawName) + len(rawValue) + len("&="); size > maxRest {
			return "", false
		}
		if b.Len() == 0 {
			b.WriteByte('?')
		} else {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(string(name)) + "=" + url.QueryEscape(string(value)))
	}
	return b.String(), true
}

// isOurs tells whether a parameter is not passed on.
func isOurs(name string) bool {
	return slices.ContainsFunc(ours, func(other string) bool { return strings.EqualFold(name, other) }) || dialect.IsLastEventID([]byte(name))
}

// isValue tells whether text may be the value of a header.
func isValue(text string) bool {
	for i := range len(text) {
		if b := text[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// isToken tells whether text may be the name of a cookie (RFC 9110, 5.6.2).
func isToken(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}
