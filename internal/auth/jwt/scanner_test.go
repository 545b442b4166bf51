package jwt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"testing"
	"unicode/utf8"
)

// value reads any value as encoding/json does.
func (s *scanner) value() (v any) {
	switch s.kind() {
	case '{':
		o := map[string]any{}
		s.object(func(name string) { o[name] = s.value() })
		return o
	case '[':
		l := []any{}
		s.list(func() { l = append(l, s.value()) })
		return l
	case '"':
		return s.str()
	case 't', 'f':
		begin := s.pos
		s.skip()
		return s.pos-begin == len("true")
	case 'n':
		s.skip()
		return nil
	}
	return json.Number(s.number())
}

// twin reads a text by encoding/json, and refuses by its tokens what a scanner refuses
// beside.
func twin(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more after it: %v", err)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("not UTF-8")
	}
	d = json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return v, checkTokens(d, 0)
}

func checkTokens(d *json.Decoder, level int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	names := map[any]bool{}
	open, isBracket := token.(json.Delim)
	if !isBracket {
		return nil
	}
	if level == maxLevels {
		return fmt.Errorf("too deep")
	}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil || names[name] {
				return fmt.Errorf("%q twice (%v)", name, err)
			}
			names[name] = true
		}
		if err := checkTokens(d, level+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// Ensure that a text is read, or refused, as encoding/json has it, with names once, levels
// counted, and nothing replaced.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+3,true,false,null,"x\n\u00e4\ud83c\udf0d"],"b":{}}`, `[[[[[[[[]]]]]]]]`, `[[[[[[[[[]]]]]]]]]`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`,
		`"\ud83c"`, `"\ud83c\u0041"`, `"\udf0d"`, `"\x"`, `"a`, `01`, `1.`, `.1`, `1e`, `-`, `+1`, `tru`, `nullx`, `[1,]`, `{"a":1,}`, `[,1]`, `{1:2}`, ` [ 1 , 2 ] `, "\"\t\"", "\"\xff\"",
		`{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"10":0,"11":0,"12":0,"13":0,"14":0,"15":0,"16":0,"3":0}`, `[1 2]`, `{"a" 1}`, `[}`, ``, ` `, `1 1`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{text: string(text)}
		got := s.value()
		taken := s.end()
		want, err := twin(text)
		if taken && err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
		if half := bytes.Contains(text, []byte(`\u`)); taken != (err == nil) && !(half && !taken) { // encoding/json replaces halves of pairs
			t.Errorf("%q is taken: %v, want as encoding/json: %v", text, taken, err)
		}
	})
}
