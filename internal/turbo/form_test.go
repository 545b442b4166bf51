package turbo

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"millrace/channels"
)

func TestForms(t *testing.T) {
	forms, err := ParseForms([]string{"/json/*=json-string", "/turbo/raw=raw", "/turbo/*=turbo", "a=b=raw", "/img/*=base64", "socket.io*=none"})
	if err != nil {
		t.Fatal(err)
	}
	if text := "/json/*=json-string,/turbo/raw=raw,/turbo/*=turbo,a=b=raw,/img/*=base64,socket.io*=none"; forms.String() != text {
		t.Errorf("the forms are %s, want %s", forms, text)
	}
	const action = `<turbo-stream action=\"append\" target=\"list\">\u003ctemplate\u003e\r\nGrüße \ud83c\udf0d\u003c/template\u003e</turbo-stream>`
	for _, tt := range []struct{ channel, payload, want string }{
		{"/other", `"x"`, `"x"`},
		{"/json/1", `"x\ny"`, "x\ny"},
		{"/json/1", " \"x\"\n", "x"},
		{"/json/1", `""`, ""},
		{"/json/1", `{"a":1}`, "refused"},
		{"/json/1", `null`, "refused"},
		{"/json/1", `"x`, "refused"},
		{"/json/1", `"x" y`, "refused"},
		{"/json/1", ``, "refused"},
		{"/turbo/1", `"` + action + `"`, "<turbo-stream action=\"append\" target=\"list\"><template>\r\nGrüße \U0001f30d</template></turbo-stream>"},
		{"/turbo/1", `"x"`, "refused"},
		{"/turbo/1", `<turbo-stream>`, "refused"},
		{"/turbo/raw", `x`, "x"},
		{"a=b", `x`, "x"},
		{"/img/1", "\xff\x00\n", "/wAK"},
		{"/img/1", "", ""},
		{"socket.io#/#", "\xff\x00\n", "\xff\x00\n"},
	} {
		got, err := forms.Decode(tt.channel, []byte(tt.payload))
		if err != nil && errors.Is(err, ErrForm) {
			got = []byte("refused")
		}
		if string(got) != tt.want {
			t.Errorf("Decode(%q, %q) = %q, %v, want %q", tt.channel, tt.payload, got, err, tt.want)
		}
	}
}

// Ensure that a form says which payloads its channels take.
func TestFormPayload(t *testing.T) {
	forms, err := ParseForms([]string{"/a/raw=raw", "/a/*=base64", "/b/*=none", "*=turbo"})
	if err != nil {
		t.Fatal(err)
	}
	for channel, want := range map[string]channels.Payload{
		"/a/raw": channels.Text, "/a/1": channels.Binary, "/b/1": channels.Unstreamed, "/c": channels.Text,
	} {
		if got := forms.Payload(channel); got != want {
			t.Errorf("Payload(%q) = %v, want %v", channel, got, want)
		}
	}
}

func TestParseForms(t *testing.T) {
	for text, want := range map[string]string{
		"":        `"", want PATTERN=FORM such as '/turbo/*=turbo'`,
		"=raw":    `"=raw", want PATTERN=FORM such as '/turbo/*=turbo'`,
		"*":       `"*", want PATTERN=FORM such as '/turbo/*=turbo'`,
		"*=":      `"*=": the form "", want raw, json-string, turbo, base64 or none`,
		"*=Turbo": `"*=Turbo": the form "Turbo", want raw, json-string, turbo, base64 or none`,
	} {
		if _, err := ParseForms([]string{"*=raw", text}); err == nil || err.Error() != want {
			t.Errorf("ParseForms(%q): %v, want %s", text, err, want)
		}
	}
}

// Ensure that decoded data is text, no longer than the payload, and the JSON's value.
func FuzzDecode(f *testing.F) {
	for _, payload := range []string{`"x"`, `"\u003c\ud83c\udf0d\n"`, `"\ud83c"`, `null`, `"\u0000"`, `"`} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !utf8.Valid(payload) {
			return // refused before
		}
		data, err := JSONString.Decode(payload)
		if err != nil {
			return
		}
		var want string
		if err := json.Unmarshal(payload, &want); err != nil || string(data) != want {
			t.Errorf("Decode(%q) = %q, want %q, %v", payload, data, want, err)
		}
		if len(data) > len(payload) || !utf8.Valid(data) {
			t.Errorf("Decode(%q) = %q, too long or no text", payload, data)
		}
	})
}
