// Package jwt verifies JSON Web Tokens and reads what they grant: who may listen to
// which channels, and until when.
//
// The order is fixed by the types: [Parse] reads nothing but the header, [Set.Open]
// hands out the claims as bytes once the signature is right, and [Form.Read] is the
// first to look at them. A [Key] is bound to one algorithm; what a token says about
// itself only chooses among the keys.
//
// It is pure: no I/O, no clock. All of it is safe for concurrent use. Sources: RFC
// 7515 to 7519, 8037, 8725 and 9864. Why no library: those weighed (golang-jwt v5,
// go-jose v4, jwx v3) parse the claims before the signature or take JSON whose names
// stand twice, and cost several times as much as what an event loop may spend.
package jwt

// Error is why a token, or what is in it, is refused. There are as many as are
// declared in this package: the texts are constants, so they may stand in answers,
// logs and metrics, and have nothing of the token in them.
type Error struct {
	Reason string // a label of metrics
	Text   string // a sentence without a period
}

func (e *Error) Error() string { return e.Text }

// Reasons to refuse a token for its form and signature.
var (
	ErrSize      = &Error{"too_large", "the token has more than 4096 bytes"}
	ErrForm      = &Error{"malformed", "the token is no signed JSON Web Token (header.claims.signature, each base64url)"}
	ErrCritical  = &Error{"critical", "the token has a critical header that is not understood here"}
	ErrAlgorithm = &Error{"algorithm", "the token's algorithm is that of none of the keys"}
	ErrUnknown   = &Error{"unknown_key", "the token's key (kid) is none of those that are known here"}
	ErrSignature = &Error{"bad_signature", "the token's signature is of none of the keys"}
)

// Reasons to refuse claims whose signature is right.
var (
	ErrClaims   = &Error{"claims", "the token's claims are not JSON as it has to be: one object, no name twice, 8 levels at most, each claim of its type"}
	ErrExpired  = &Error{"expired", "the token has expired"}
	ErrEarly    = &Error{"early", "the token is not valid yet"}
	ErrAudience = &Error{"audience", "the token is for another audience"}
	ErrIssuer   = &Error{"issuer", "the token is of another issuer"}
)
