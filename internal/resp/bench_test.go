package resp

import "testing"

func BenchmarkParser(b *testing.B) {
	for name, request := range map[string]string{
		"array":  "*3\r\n$7\r\nPUBLISH\r\n$9\r\n/sse/test\r\n$13\r\n{\"foo\":\"bar\"}\r\n",
		"inline": "PUBLISH /sse/test {\"foo\":\"bar\"}\r\n",
		"quoted": "ECHO \"two \\x41 words\"\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			p := Parser{Limits: roomy, Verbatim: publishVerbatim}
			buf := []byte(request)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, n, err := p.Next(buf); n != len(buf) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
