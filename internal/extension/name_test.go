package extension

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
)

// certified returns the name as a certificate contains it.
func certified(t testing.TB, name pkix.RDNSequence) distinguished {
	t.Helper()
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := subject(&x509.Certificate{RawSubject: der})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func set(pairs ...any) pkix.RelativeDistinguishedNameSET {
	var s pkix.RelativeDistinguishedNameSET
	for i := 0; i < len(pairs); i += 2 {
		oid, err := x509.ParseOID(pairs[i].(string))
		if err != nil {
			panic(err)
		}
		var id asn1.ObjectIdentifier
		der, _ := oid.MarshalBinary()
		if _, err := asn1.Unmarshal(append([]byte{6, byte(len(der))}, der...), &id); err != nil {
			panic(err)
		}
		s = append(s, pkix.AttributeTypeAndValue{Type: id, Value: pairs[i+1]})
	}
	return s
}

const (
	oidCN   = "2.5.4.3"
	oidC    = "2.5.4.6"
	oidO    = "2.5.4.10"
	oidOU   = "2.5.4.11"
	oidMail = "1.2.840.113549.1.9.1"
)

func TestSubjectNamesCompareAsNamesAndNotAsText(t *testing.T) {
	mail := asn1.RawValue{FullBytes: []byte{0x16, 3, 'a', '@', 'b'}} // an IA5String
	for _, c := range []struct {
		name  string
		cert  pkix.RDNSequence
		same  []string
		other []string
	}{
		{"plain", pkix.RDNSequence{set(oidC, "DE"), set(oidO, "Example  Inc."), set(oidCN, "My Extension")},
			[]string{
				"CN=My Extension,O=Example Inc.,C=DE", "cn = my  extension , o=EXAMPLE INC., c=de",
				"2.5.4.3=My Extension,OID.2.5.4.10=Example Inc.,C=DE",
				`CN=\4dy Extension,O=Example\20Inc.,C=DE`, "CN=#130c4d7920457874656e73696f6e,O=Example Inc.,C=DE",
				"commonName=My Extension,organizationName=Example Inc.,countryName=DE",
			},
			[]string{
				"C=DE,O=Example Inc.,CN=My Extension", "CN=My Extension,O=Example Inc.",
				"CN=My Extension,O=Example Inc.,C=DE,C=DE", "CN=MyExtension,O=Example Inc.,C=DE",
				"CN=My Extension+O=Example Inc.,C=DE", "OU=My Extension,O=Example Inc.,C=DE",
				`CN=My Extension\,O=Example Inc.,C=DE`, "CN=#0500,O=Example Inc.,C=DE",
			}},
		{"special characters", pkix.RDNSequence{set(oidCN, `a,b+c="d\e;<f>#`)},
			[]string{`CN=a\,b\+c=\"d\\e\;\<f\>#`, `CN=a\2Cb\2bc\3d\22d\5Ce\3b\3cf\3e\23`}, []string{`CN=a,CN=b`}},
		{"a set", pkix.RDNSequence{set(oidOU, "x", oidCN, "y")}, []string{"CN=y+OU=x", "OU=X + CN=Y"},
			[]string{"CN=x+OU=y", "CN=y,OU=x", "CN=y"}},
		{"mail", pkix.RDNSequence{set(oidMail, mail)},
			[]string{"E=a@b", "emailAddress=A@B", "1.2.840.113549.1.9.1=#1603614062"}, []string{"E=a@c"}},
		{"other languages", pkix.RDNSequence{set(oidCN, "Über Größe")},
			[]string{"CN=über größe", `CN=\c3\9cber Gr\C3\B6\C3\9fe`}, []string{"CN=uber grosse"}},
		{"not text", pkix.RDNSequence{set(oidCN, 7)}, []string{"CN=#020107"},
			[]string{"CN=7", "CN=020107", "CN=#020108", `CN=\#020107`}},
		{"empty value", pkix.RDNSequence{set(oidCN, "")}, []string{"CN=", "CN= "}, []string{"CN=x"}},
	} {
		is := certified(t, c.cert)
		if c.name != "not text" { // the library loses the type of this value
			c.same = append(c.same, c.cert.String())
		}
		for _, s := range c.same {
			if d, err := parseName(s); err != nil || !d.equal(is) || !is.equal(d) {
				t.Errorf("%s: %q differs: %v %v", c.name, s, d, err)
			}
		}
		for _, s := range c.other {
			if d, err := parseName(s); err != nil || d.equal(is) || is.equal(d) {
				t.Errorf("%s: %q is the same: %v %v", c.name, s, d, err)
			}
		}
	}
}

func TestWhatIsNoSubjectNameIsRefused(t *testing.T) {
	for _, bad := range []string{
		"", " ", "x", ",", "CN", "=x", "CN=x,", "CN=x+", "CN=x,,O=y", "CN=x;O=y", `CN="x"`, "CN=<x>", "CN=x\x00",
		"FOO=x", "2.5.4=x,1=y", "9.9=x",
		`CN=\`, `CN=\x`, `CN=\4`, `CN=\zz`, `CN=\ff`, "CN=\xff", "CN=#", "CN=#1", "CN=#zz", "CN=#0c05", "CN=#0c0161ff",
		"CN=x+CN=y", "CN=x+2.5.4.3=y", "/CN=x/O=y",
		strings.Repeat("CN=x,", 64) + "CN=x", "CN=" + strings.Repeat("x", 4096),
		"CN=1+OU=1+O=1+L=1+ST=1+C=1+" +
			"SN=1+DC=1+UID=1+E=1+T=1+GN=1+STREET=1+INITIALS=1+POSTALCODE=1+DNQUALIFIER=1+SERIALNUMBER=1",
	} {
		if d, err := parseName(bad); !errors.Is(err, ErrSubjectName) {
			t.Errorf("%.60q: %v %v", bad, d, err)
		}
	}
	if d, err := parseName(strings.Repeat("CN=x,", 63) + "CN=x"); err != nil || len(d) != 64 {
		t.Errorf("64 RDNs: %v", err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"CN=My Extension,O=Example Inc.,C=DE", `CN=a\,b\+c\3D`, "1.2.3=#0c0161+OU=x",
		"CN= x  y ,O="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseName(s)
		if err != nil {
			return
		}
		if !d.equal(d) {
			t.Errorf("%q is not the same as itself", s)
		}
		// The text of a name, in the form that a certificate has, stands for the same name.
		var seq pkix.RDNSequence
		for _, r := range d {
			var all pkix.RelativeDistinguishedNameSET
			for _, a := range r {
				if a.opaque {
					return
				}
				oid, err := x509.ParseOID(a.oid)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := oid.MarshalBinary()
				var id asn1.ObjectIdentifier
				if len(b) > 127 {
					return
				}
				if _, err := asn1.Unmarshal(append([]byte{6, byte(len(b))}, b...), &id); err != nil {
					return // larger than the parser of certificates accepts
				}
				all = append(all, pkix.AttributeTypeAndValue{Type: id, Value: a.value})
			}
			seq = append(seq, all)
		}
		if is := certified(t, seq); !d.equal(is) || !is.equal(d) {
			t.Errorf("%q is %v, and certified %v", s, d, is)
		}
	})
}
