package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"unsafe"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The traffic secrets of RFC 8448, section 3, and the records that it has of them.
const (
	clientSecret = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
	serverSecret = "a11af9f05531f856ad47116b45a950328204b44bfb6b3a4b4f1f3fcb631643"
)

// Ensure that the records of RFC 8448, section 3, are opened and sealed as there.
func TestVectors(t *testing.T) {
	client := unhex(t, clientSecret)
	key, iv := aes128.keyAndIV(client)
	if want := unhex(t, "17422dda596ed5d9acd890e3c63f5051"); !bytes.Equal(key, want) {
		t.Errorf("client's key %x, want %x", key, want)
	}
	if want := unhex(t, "5b78923dee08579033e523d9"); !bytes.Equal(iv, want) {
		t.Errorf("client's IV %x, want %x", iv, want)
	}
	payload := make([]byte, 50)
	for i := range payload {
		payload[i] = byte(i)
	}
	data := unhex(t, `17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66
		bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea
		e6 3a ee bb 21 69 49 15 e4`)
	alert := unhex(t, "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3")
	var writer, reader State
	for _, s := range []*State{&writer, &reader} {
		if err := s.Init(tls.TLS_AES_128_GCM_SHA256, client, client, 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := writer.AppendData(nil, payload); !bytes.Equal(got, data) {
		t.Errorf("sealed as %x, want %x", got, data)
	}
	if got := writer.AppendAlert(nil, CloseNotify); !bytes.Equal(got, alert) {
		t.Errorf("close_notify sealed as %x, want %x", got, alert)
	}
	plain, used, err := reader.Take(append(data, alert...))
	if !bytes.Equal(plain, payload) || used != 72+24 || err != io.EOF {
		t.Errorf("opened as %x, of %d bytes, %v; want %x, of %d, %v", plain, used, err, payload, 72+24, io.EOF)
	}
}

// Ensure that a State has the size that is counted with.
func TestStateSize(t *testing.T) {
	if n := unsafe.Sizeof(State{}); n != 160 {
		t.Errorf("a State has %d bytes, want 160", n)
	}
}

var suites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}

// pair returns both ends of a connection.
func pair(t interface{ Fatal(...any) }, id uint16) (a, b *State) {
	s, err := suiteOf(id)
	if err != nil {
		t.Fatal(err)
	}
	a, b = new(State), new(State)
	one, other := bytes.Repeat([]byte{1}, s.secretLen()), bytes.Repeat([]byte{2}, s.secretLen())
	if err := errors.Join(a.Init(id, one, other, 0), b.Init(id, other, one, 0)); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// seal has a seal any content of any type, also what it would not.
func seal(s *State, typ contentType, content string) []byte {
	return s.append(nil, typ, []byte(content))
}

// Ensure that a peer's mistakes are answered by the alerts that RFC 8446 has for them.
func TestRefusals(t *testing.T) {
	update := keyUpdate + "\x00"
	for _, tt := range []struct {
		name string
		send func(a *State) []byte
		want Alert // CloseNotify for none
	}{
		{"data", func(a *State) []byte { return seal(a, typeData, "x") }, CloseNotify},
		{"in the clear", func(a *State) []byte { return []byte("\x15\x03\x03\x00\x02\x01\x00") }, UnexpectedMessage},
		{"a ChangeCipherSpec", func(a *State) []byte { return []byte("\x14\x03\x03\x00\x01\x01") }, UnexpectedMessage},
		{"text", func(a *State) []byte { return []byte("GET / HTTP/1.1\r\n") }, UnexpectedMessage},
		{"too long", func(a *State) []byte { return []byte{23, 3, 3, 0x41, 1} }, RecordOverflow},
		{"too short", func(a *State) []byte { return []byte{23, 3, 3, 0, 3, 1, 2, 3} }, BadRecordMAC},
		{"empty", func(a *State) []byte { return []byte{23, 3, 3, 0, 0} }, BadRecordMAC},
		{"the most in it", func(a *State) []byte { return seal(a, typeData, strings.Repeat("x", MaxContent)) }, CloseNotify},
		{"too much in it", func(a *State) []byte { return seal(a, typeData, strings.Repeat("x", MaxContent+1)) }, RecordOverflow},
		{"too much padding", func(a *State) []byte { return seal(a, 0, strings.Repeat("x", 1)+strings.Repeat("\x00", MaxContent)) }, RecordOverflow},
		{"padding only", func(a *State) []byte { return seal(a, 0, "\x00\x00\x00") }, UnexpectedMessage},
		{"padding", func(a *State) []byte { return seal(a, 0, "x"+string(rune(typeData))+"\x00\x00\x00") }, CloseNotify},
		{"twice the same", func(a *State) []byte { r := seal(a, typeData, "x"); return append(r, r...) }, BadRecordMAC},
		{"changed", func(a *State) []byte { r := seal(a, typeData, "x"); r[5] ^= 1; return r }, BadRecordMAC},
		{"changed in the header", func(a *State) []byte { r := seal(a, typeData, "x"); r[1] ^= 1; return r }, BadRecordMAC},
		{"left out", func(a *State) []byte { seal(a, typeData, "x"); return seal(a, typeData, "x") }, BadRecordMAC},
		{"of another type", func(a *State) []byte { return seal(a, 24, "x") }, UnexpectedMessage},
		{"a certificate", func(a *State) []byte { return seal(a, typeHandshake, "\x0b\x00\x00\x01x") }, UnexpectedMessage},
		{"a KeyUpdate of another length", func(a *State) []byte { return seal(a, typeHandshake, "\x18\x00\x00\x02\x00\x00") }, DecodeError},
		{"an empty KeyUpdate", func(a *State) []byte { return seal(a, typeHandshake, "\x18\x00\x00\x00") }, DecodeError},
		{"a KeyUpdate that wants something else", func(a *State) []byte { return seal(a, typeHandshake, keyUpdate+"\x02") }, IllegalParameter},
		{"two KeyUpdates in a record", func(a *State) []byte { return seal(a, typeHandshake, update+update) }, UnexpectedMessage},
		{"data within a KeyUpdate", func(a *State) []byte {
			return append(seal(a, typeHandshake, update[:3]), seal(a, typeData, "x")...)
		}, UnexpectedMessage},
		{"an empty part of a KeyUpdate", func(a *State) []byte { return seal(a, typeHandshake, "") }, UnexpectedMessage},
		{"the old key behind a KeyUpdate", func(a *State) []byte {
			return append(seal(a, typeHandshake, update), seal(a, typeData, "x")...)
		}, BadRecordMAC},
		{"an empty alert", func(a *State) []byte { return seal(a, typeAlert, "") }, DecodeError},
		{"a longer alert", func(a *State) []byte { return seal(a, typeAlert, "\x01\x00\x00") }, DecodeError},
	} {
		for _, id := range suites {
			a, b := pair(t, id)
			_, _, err := b.Take(tt.send(a))
			var refusal *Error
			switch errors.As(err, &refusal); {
			case tt.want == CloseNotify && err != nil:
				t.Errorf("%s, %s: %v, want no error", tt.name, tls.CipherSuiteName(id), err)
			case tt.want != CloseNotify && (refusal == nil || refusal.Alert != tt.want || refusal.ByPeer):
				t.Errorf("%s, %s: %v, want alert %d", tt.name, tls.CipherSuiteName(id), err, tt.want)
			case tt.want != CloseNotify:
				if plain, _, err := b.Take(seal(a, typeData, "x")); err == nil || len(plain) > 0 {
					t.Errorf("%s: reading goes on afterwards: %q, %v", tt.name, plain, err)
				}
			}
		}
	}
}

// Ensure that what carries no data is bounded, and data makes up for it.
func TestBarren(t *testing.T) {
	for name, tt := range map[string]struct {
		send func(a *State) []byte
		most int
	}{
		"KeyUpdates":    {func(a *State) []byte { return a.AppendKeyUpdate(nil, false) }, maxBarren},
		"empty records": {func(a *State) []byte { return seal(a, typeData, "") }, maxBarren},
		"user_canceled": {func(a *State) []byte { return seal(a, typeAlert, "\x01\x5a") }, 4},
	} {
		a, b := pair(t, suites[0])
		for range 3 {
			for i := range tt.most {
				if _, _, err := b.Take(tt.send(a)); err != nil {
					t.Fatalf("%s: %v at the %dth, want %d to be borne", name, err, i+1, tt.most)
				}
			}
			if _, _, err := b.Take(seal(a, typeData, "x")); err != nil {
				t.Fatalf("%s: data afterwards: %v", name, err)
			}
		}
		var err error
		for range tt.most + 1 {
			if err == nil {
				_, _, err = b.Take(tt.send(a))
			}
		}
		if err == nil {
			t.Errorf("%s: %d are borne, want %d", name, tt.most+1, tt.most)
		}
	}
}

// Ensure that however often a peer asks, it gets one KeyUpdate at a time; that a
// key is replaced before it has sealed too much; and that nothing follows an alert.
func TestKeyUpdates(t *testing.T) {
	for _, id := range suites {
		a, b := pair(t, id)
		for range 5 {
			if _, _, err := b.Take(a.AppendKeyUpdate(nil, true)); err != nil {
				t.Fatal(err)
			}
		}
		answer := b.AppendOwed(nil)
		if len(answer) != Overhead+len(keyUpdate)+1 || b.Owes() || len(b.AppendOwed(nil)) > 0 {
			t.Errorf("5 requests are answered by %d bytes, want one KeyUpdate", len(answer))
		}
		if _, _, err := a.Take(answer); err != nil || a.Owes() {
			t.Errorf("the answer: %v; it is answered: %t", err, a.Owes())
		}
		b.writeSeq, a.readSeq = rekeyAfter, rekeyAfter
		sealed := b.AppendData(nil, []byte("x"))
		if b.writeSeq != 1 {
			t.Errorf("after %d records the key is used on: sequence %d", rekeyAfter, b.writeSeq)
		}
		if plain, _, err := a.Take(sealed); string(plain) != "x" || err != nil {
			t.Errorf("behind the new key: %q, %v", plain, err)
		}
		b.AppendAlert(nil, CloseNotify)
		if sealed := b.AppendOwed(b.AppendData(b.AppendAlert(nil, InternalError), []byte("x"))); len(sealed) > 0 {
			t.Errorf("behind close_notify %d bytes are sealed, want none", len(sealed))
		}
	}
}

// Ensure that records are counted that are sealed with a key, behind those of others.
func TestCountSealed(t *testing.T) {
	secret := bytes.Repeat([]byte{2}, 32)
	clear := []byte("\x16\x03\x03\x00\x02ab\x14\x03\x03\x00\x01\x01")
	for _, tt := range []struct {
		name   string
		before int // records of another key
		ours   int
		behind []byte
		want   error
	}{
		{"none", 0, 0, nil, nil},
		{"others only", 3, 0, nil, nil},
		{"one", 3, 1, nil, nil},
		{"many", 3, 9, nil, nil},
		{"cut in a header", 3, 1, []byte{23, 3}, ErrFlight},
		{"cut in a record", 3, 0, []byte{23, 3, 3, 0, 20, 1}, ErrFlight},
		{"another key behind", 3, 1, []byte{23, 3, 3, 0, 3, 1, 2, 3}, ErrFlight},
		{"in the clear behind", 3, 1, clear, ErrFlight},
	} {
		ours, _ := pair(t, suites[0])
		var other State
		if err := other.Init(suites[0], secret, bytes.Repeat([]byte{9}, 32), 0); err != nil {
			t.Fatal(err)
		}
		flight := bytes.Clone(clear)
		for range tt.before {
			flight = append(flight, seal(&other, typeHandshake, "certificate")...)
		}
		for range tt.ours {
			flight = append(flight, seal(ours, typeHandshake, "ticket")...)
		}
		n, err := CountSealed(suites[0], secret, append(flight, tt.behind...))
		if !errors.Is(err, tt.want) || err == nil && n != uint64(tt.ours) {
			t.Errorf("%s: %d, %v; want %d, %v", tt.name, n, err, tt.ours, tt.want)
		}
	}
	if _, err := CountSealed(0x1304, secret, nil); !errors.Is(err, ErrSuite) {
		t.Errorf("a suite that there is not: %v, want %v", err, ErrSuite)
	}
	if _, err := CountSealed(suites[1], secret, nil); !errors.Is(err, ErrSuite) {
		t.Errorf("a secret of another suite: %v, want %v", err, ErrSuite)
	}
}
