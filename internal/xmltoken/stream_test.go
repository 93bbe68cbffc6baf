package xmltoken

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAStreamGivesTheTokensOfTheMessage(t *testing.T) {
	for _, message := range []string{
		`<a xmlns="n" b="c"><d/>text<!-- c --><![CDATA[<]]>&amp;</a>`,
		`<?xml version="1.0"?><a xmlns:p="n"><p:b p:c="d"/></a>`,
		`<a b="1" b="2"/>`, `<!DOCTYPE a><a/>`, `<a>`, `<a></b>`, ``,
	} {
		var whole, stream Reader
		whole.Start([]byte(message), Options{})
		stream.StartStream(iotest.OneByteReader(strings.NewReader(message)), Options{})
		for {
			a, errA := whole.Next()
			b, errB := stream.Next()
			if (errA == nil) != (errB == nil) || errors.Is(errA, io.EOF) != errors.Is(errB, io.EOF) {
				t.Fatalf("%s: %v, as a stream %v", message, errA, errB)
			}
			if errA != nil {
				break
			}
			// The pieces of a text may differ. Here, no text has more than one.
			if a.Kind != b.Kind || string(a.Name) != string(b.Name) || string(a.Space) != string(b.Space) ||
				len(a.Attributes) != len(b.Attributes) || string(a.Text) != string(b.Text) ||
				whole.Offset() != stream.Offset() {
				t.Fatalf("%s: %+v, as a stream %+v", message, a, b)
			}
		}
	}
}

func TestAStreamEndsWithTheErrorOfItsSource(t *testing.T) {
	lost := errors.New("the connection is lost")
	var r Reader
	r.StartStream(io.MultiReader(strings.NewReader("<a><b>text"), iotest.ErrReader(lost)), Options{})
	var err error
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, lost) {
		t.Error(err)
	}
}

func TestAStreamHasALimitOfDepthAndNoneOfLength(t *testing.T) {
	deep := func(n int) error {
		var r Reader
		message := strings.Repeat("<a>", n) + strings.Repeat("</a>", n)
		r.StartStream(strings.NewReader(message), Options{Limits: Limits{Depth: 9}})
		for {
			if _, err := r.Next(); err != nil {
				return err
			}
		}
	}
	if err := deep(9); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := deep(10); !errors.Is(err, errDepth) {
		t.Error(err)
	}
	var r Reader
	r.StartStream(strings.NewReader("<a>"+strings.Repeat("<b/>", 300_000)+"</a>"), Options{})
	if _, err := r.Child(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		e, err := r.Child()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			break
		}
		if err := r.Skip(); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if err := r.End(); n != 300_000 || err != nil {
		t.Errorf("%d elements, %v", n, err)
	}
}
