package httpparse_test

import (
	"errors"
	"fmt"

	"millrace/httpparse"
)

func ExampleParse() {
	var (
		r    httpparse.Request
		buf  []byte
		seen int
	)
	for _, read := range []string{
		"GET /rooms/42?last_event_id=7 HT",
		"TP/1.1\r\nHost: example.com\r\nAccept: ",
		"text/event-stream\r\n\r\n",
	} {
		buf = append(buf, read...)
		n, err := httpparse.Parse(&r, buf, seen, httpparse.Limits{})
		if err == httpparse.ErrNeedMore {
			fmt.Println("need more than", len(buf), "bytes")
			seen = len(buf)
			continue
		}
		if refusal, ok := errors.AsType[*httpparse.Error](err); ok {
			fmt.Println(refusal.Status, refusal)
			return
		}
		accept, _ := r.Get("accept")
		fmt.Printf("%d bytes: %s %s for %s, accepts %s\n", n, r.Method, r.Path, r.Host, accept)
	}
	// Output:
	// need more than 32 bytes
	// need more than 67 bytes
	// 88 bytes: GET /rooms/42 for example.com, accepts text/event-stream
}
