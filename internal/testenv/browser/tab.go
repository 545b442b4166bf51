package browser

// Options are how a browser is started.
type Options struct {
	// Expected are parts of what the console of a page may complain of. Else an error there,
	// or an exception, fails the test: in Chromium, for that of Firefox is not read.
	Expected []string
	// Trusted is a file with the certificate that Chromium trusts, empty for none. Firefox
	// trusts all.
	Trusted string
	// NoHTTP2 has the browser speak HTTP/1.1 only.
	NoHTTP2 bool
}

// Tab is a page in a browser, of whichever kind. Its methods end the test when they fail.
type Tab interface {
	// Open goes to a page, and waits until it is there.
	Open(url string)
	// Await waits until a JavaScript expression is true in the page.
	Await(what, expression string)
	// NewTab opens an empty page beside this one.
	NewTab() Tab
}
