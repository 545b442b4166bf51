package tlsrecord

import (
	"crypto/tls"
	"fmt"
	"testing"
)

// BenchmarkSeal seals one record, with the cipher made for it, and beside that with one
// that is kept.
func BenchmarkSeal(b *testing.B) {
	for _, id := range suites {
		for _, size := range []int{100, 1000, MaxContent} {
			content, dst := make([]byte, size), make([]byte, 0, MaxRecord)
			name := fmt.Sprintf("%s/%d", tls.CipherSuiteName(id), size)
			b.Run(name, func(b *testing.B) {
				s, _ := pair(b, id)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					s.writeSeq = 0
					dst = s.AppendData(dst[:0], content)
				}
			})
			b.Run(name+"/kept", func(b *testing.B) {
				s, _ := pair(b, id)
				aead := s.suite.aead(s.writeKey[:s.suite.keyLen()])
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					nonce := nonceOf(s.writeIV[:], 0)
					dst = append(dst[:0], content...)
					dst = aead.Seal(dst[:0], nonce[:], dst, dst[:0])
				}
			})
		}
	}
}

// BenchmarkTake reads one record, for which the keys are derived.
func BenchmarkTake(b *testing.B) {
	for _, id := range suites {
		b.Run(tls.CipherSuiteName(id), func(b *testing.B) {
			s, peer := pair(b, id)
			sealed := s.AppendData(nil, make([]byte, 100))
			read := make([]byte, len(sealed))
			b.ReportAllocs()
			for b.Loop() {
				peer.readSeq = 0
				copy(read, sealed)
				if plain, _, err := peer.Take(read); len(plain) != 100 || err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
