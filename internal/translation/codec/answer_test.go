package codec

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/vim"
)

// shape returns the shape that a text describes.
func shape(t testing.TB, s *Schema, text string) Shape {
	t.Helper()
	got, ok := s.Shape(text)
	if !ok {
		t.Fatalf("no type %s", text)
	}
	return got
}

func TestAnswersBecomeJSON(t *testing.T) {
	s := NewSchema()
	for _, c := range []struct{ shape, soap, json string }{
		// Unset and empty are kept apart, in the forms that the API has for them.
		{"string", `<returnval></returnval>`, `""`},
		{"?string", ``, ``},
		{"?string", `<returnval xsi:nil="true"/>`, ``},
		{"[]string", ``, `[]`},
		{"[]string", `<returnval/><returnval>b</returnval>`, `["","b"]`},
		{"VirtualMachineFlagInfo", `<returnval><monitorType></monitorType></returnval>`,
			`{"_typeName":"VirtualMachineFlagInfo","monitorType":""}`},
		{"VirtualMachineFlagInfo", `<returnval><monitorType xsi:nil="1"/></returnval>`,
			`{"_typeName":"VirtualMachineFlagInfo"}`},
		// A required list without items.
		{"ObjectUpdate", `<returnval><kind>enter</kind><obj type="A">b</obj></returnval>`,
			`{"_typeName":"ObjectUpdate","kind":"enter","obj":{"_typeName":"ManagedObjectReference","type":"A",` +
				`"value":"b"}}`},
		{"AuthorizationDescription", `<returnval/>`,
			`{"_typeName":"AuthorizationDescription","privilege":[],"privilegeGroup":[]}`},
		// Values in other forms of XML.
		{"[]boolean", `<returnval>1</returnval><returnval> true </returnval><returnval>0</returnval>`,
			`[true,true,false]`},
		{"[]int", `<returnval>+5</returnval><returnval>007</returnval><returnval> -3
			</returnval><returnval>0</returnval><returnval>-0</returnval>`, `[5,7,-3,0,0]`},
		{"[]double", `<returnval>.5</returnval><returnval>NaN</returnval><returnval>INF</returnval><returnval>-INF` +
			`</returnval>` +
			`<returnval>1e3</returnval>`, `[0.5,"NaN","Infinity","-Infinity",1e3]`},
		{"[]byte", `<returnval>-1</returnval><returnval>255</returnval>`, `[-1,-1]`},
		{"[]dateTime", `<returnval>2024-02-29T12:00:00.1234567+02:00</returnval><returnval>2024-01-01T24:00:00` +
			`</returnval>` +
			`<returnval>12000-01-01T00:00:00Z</returnval>`,
			`["2024-02-29T10:00:00.123456Z","2024-01-02T00:00:00Z","12000-01-01T00:00:00Z"]`},
		{"base64Binary", "<returnval>\n AQ\n I= </returnval>", `"AQI="`},
		{"string", `<returnval><![CDATA[<&>]]>&#x41;&quot;</returnval>`, `"<&>A\""`},
		{"bytes", ``, ``},
		// Values that name their type.
		{"anyType", `<returnval xsi:type="xsd:string">1</returnval>`, `{"_typeName":"string","_value":"1"}`},
		{"anyType", `<returnval xsi:type="xsd:anyURI">u</returnval>`, `{"_typeName":"string","_value":"u"}`},
		{"anyType", `<returnval xsi:type="xsd:unsignedByte">200</returnval>`, `{"_typeName":"byte","_value":-56}`},
		{"anyType", `<returnval xsi:type="xsd:base64Binary">AQ==</returnval>`,
			`{"_typeName":"binary","_value":"AQ=="}`},
		{"anyType", `<returnval xsi:type="ManagedEntityStatus">purple</returnval>`,
			`{"_typeName":"ManagedEntityStatus","_value":"purple"}`},
		{"anyType", `<returnval xsi:type="ArrayOfString"/>`, `{"_typeName":"ArrayOfString","_value":[]}`},
		{"anyType", `<returnval xsi:type="ArrayOfByte"><byte>1</byte><byte>-1</byte></returnval>`,
			`{"_typeName":"ArrayOfByte","_value":"Af8="}`},
		{"anyType", `<returnval xsi:type="ArrayOfAnyType"><anyType xsi:type="xsd:int">1</anyType></returnval>`,
			`{"_typeName":"ArrayOfAnyType","_value":[{"_typeName":"int","_value":1}]}`},
		{"anyType", `<returnval xsi:type="vslmVClockInfo"><vClockTime>7</vClockTime></returnval>`,
			`{"_typeName":"vslmVClockInfo","vClockTime":7}`},
		{"HostDigestInfo", `<returnval><digestMethod>SHA1</digestMethod><digestValue>1</digestValue><digestValue>-1` +
			`</digestValue><objectName>o</objectName></returnval>`,
			`{"_typeName":"HostDigestInfo","digestMethod":"SHA1","digestValue":"Af8=","objectName":"o"}`},
		{"HostDigestInfo", `<returnval><digestMethod>SHA1</digestMethod></returnval>`,
			`{"_typeName":"HostDigestInfo","digestMethod":"SHA1","digestValue":""}`},
		{"Event", `<returnval xsi:type="VmPoweredOnEvent"><key>1</key><template>false</template></returnval>`,
			`{"_typeName":"VmPoweredOnEvent","key":1,"template":false}`},
		// The order of the server's members is kept.
		{"Description", `<returnval><summary>s</summary><label>l</label></returnval>`,
			`{"_typeName":"Description","summary":"s","label":"l"}`},
	} {
		if got := translated(t, s, answerOf(c.soap), shape(t, s, c.shape)); got != c.json {
			t.Errorf("%s %s: %s\nwant %s", c.shape, c.soap, got, c.json)
		}
	}
}

func TestWhatTheSchemaDoesNotHaveIsCarriedWithItsNames(t *testing.T) {
	s := NewSchema()
	for _, c := range []struct{ shape, soap, json string }{
		// A new member of a known type: one element, several, an object, a reference, a value with a type.
		{"Description", `<returnval><label>l</label><summary>s</summary><icon>i</icon></returnval>`,
			`{"_typeName":"Description","label":"l","summary":"s","icon":"i"}`},
		{"Description", `<returnval><tag>1</tag><tag>2</tag><tag/><label>l</label></returnval>`,
			`{"_typeName":"Description","tag":["1","2",""],"label":"l"}`},
		{"Description", `<returnval><part><id>1</id><id>2</id><sub><x>y</x></sub></part></returnval>`,
			`{"_typeName":"Description","part":{"id":["1","2"],"sub":{"x":"y"}}}`},
		{"Description", `<returnval><vm type="VirtualMachine">vm-1</vm><vm type="VirtualMachine">vm-2</vm></returnval>`,
			`{"_typeName":"Description","vm":[{"_typeName":"ManagedObjectReference","type":"VirtualMachine",` +
				`"value":"vm-1"},` +
				`{"_typeName":"ManagedObjectReference","type":"VirtualMachine","value":"vm-2"}]}`},
		{"Description", `<returnval><n xsi:type="xsd:int">5</n><d xsi:type="Description"><label>x</label></d>` +
			`</returnval>`,
			`{"_typeName":"Description","n":{"_typeName":"int","_value":5},"d":{"_typeName":"Description",` +
				`"label":"x"}}`},
		{"Description", `<returnval><n xsi:nil="true"/></returnval>`, `{"_typeName":"Description"}`},
		// A new type where a known one is declared keeps the types of the members that are known.
		{"Event", `<returnval xsi:type="NewEvent"><key>7</key><createdTime>2024-01-01T00:00:00Z` +
			`</createdTime><colour>red` +
			`</colour></returnval>`,
			`{"_typeName":"NewEvent","key":7,"createdTime":"2024-01-01T00:00:00Z","colour":"red"}`},
		{"ElementDescription", `<returnval xsi:type="ns1:NewDescription"><label>l</label></returnval>`,
			`{"_typeName":"NewDescription","label":"l"}`},
		// A new type where anything is declared.
		{"anyType", `<returnval xsi:type="New"><a>1</a><b><c/></b></returnval>`,
			`{"_typeName":"New","a":"1","b":{"c":""}}`},
		{"anyType", `<returnval xsi:type="NewEnum">on</returnval>`, `{"_typeName":"NewEnum","_value":"on"}`},
		{"anyType", `<returnval xsi:type="New"/>`, `{"_typeName":"New"}`},
		{"anyType", `<returnval xsi:type="ArrayOfNew"><New><a>1</a></New><New xsi:type="Newer"><a>2</a></New>` +
			`</returnval>`,
			`{"_typeName":"ArrayOfNew","_value":[{"_typeName":"New","a":"1"},{"_typeName":"Newer","a":"2"}]}`},
		{"anyType", `<returnval>plain</returnval>`, `"plain"`},
		{"[]anyType", `<returnval xsi:type="New"><a>1</a></returnval><returnval xsi:type="xsd:int">2</returnval>`,
			`[{"_typeName":"New","a":"1"},{"_typeName":"int","_value":2}]`},
	} {
		if got := translated(t, s, answerOf(c.soap), shape(t, s, c.shape)); got != c.json {
			t.Errorf("%s %s: %s\nwant %s", c.shape, c.soap, got, c.json)
		}
	}
}

func TestAnswersThatCantBeTranslatedAreErrors(t *testing.T) {
	s := NewSchema()
	deep := strings.Repeat("<a>", 300) + strings.Repeat("</a>", 300)
	for _, c := range []struct{ shape, soap string }{
		{"int", `<returnval>x</returnval>`}, {"int", `<returnval>99999999999999999999</returnval>`},
		{"boolean", `<returnval>yes</returnval>`}, {"double", `<returnval/>`}, {"byte", `<returnval>256</returnval>`},
		{"string", `<returnval><a/></returnval>`}, {"string", `<returnval>a</returnval><returnval>b</returnval>`},
		{"Description", `<returnval>text</returnval>`},
		{"Description", `<returnval><label>a</label><label>b</label></returnval>`},
		{"Description", `<returnval><label>a</label><summary/><label>b</label></returnval>`},
		{"Description", `<returnval><new>a</new><summary/><new>b</new></returnval>`},
		{"anyType", `<returnval xsi:type="New">text<a/></returnval>`},
		{"anyType", `<returnval xsi:type="New">` + deep + `</returnval>`},
		{"anyType", `<returnval xsi:type="New">` + manyMembers(maxOthers+1) + `</returnval>`},
		{"HostDigestInfo", `<returnval><digestValue>x</digestValue></returnval>`},
	} {
		for _, src := range []io.Reader{strings.NewReader(answerOf(c.soap)), slow(answerOf(c.soap))} {
			if got, err := translate(s, src, shape(t, s, c.shape), vim.Release{}); err == nil {
				t.Errorf("%s %.100s: %.200s", c.shape, c.soap, got)
			}
		}
	}
}

// manyMembers returns elements with n different names.
func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		name := "a" + strings.Repeat("b", i)
		b.WriteString("<" + name + "/>")
	}
	return b.String()
}

func TestMembersThatAreNewerThanTheClientAreLeftOut(t *testing.T) {
	s := NewSchema()
	const content = `<returnval><hostName>h</hostName><sslThumbprint>t` +
		`</sslThumbprint><certThumbprintList><thumbprint>` +
		`a</thumbprint></certThumbprintList><id>x</id></returnval>`
	typ := shape(t, s, "SessionManagerGenericServiceTicket")
	for release, has := range map[vim.Release]bool{{8, 0, 1, 0}: true, {}: true} {
		got, err := translate(s, strings.NewReader(answerOf(content)), typ, release)
		if err != nil || strings.Contains(got, "certThumbprintList") != has {
			t.Errorf("%v: %s %v", release, got, err)
		}
	}
	newer, old := 0, vim.Release{8, 0, 1, 0}
	for _, name := range typeNames(t, s) {
		o := shape(t, s, name).of
		if o == nil {
			continue
		}
		for _, m := range o.members {
			if m.since == (vim.Release{}) || m.kind != kindText || m.List {
				continue
			}
			newer++
			soap := answerOf(`<returnval xsi:type="` + name + `"><` + m.name + `>x</` + m.name + `></returnval>`)
			got, err := translate(s, strings.NewReader(soap), anything, old)
			if err != nil || strings.Contains(got, `"`+m.name+`"`) {
				t.Errorf("%s.%s: %s %v", name, m.name, got, err)
			}
			got, err = translate(s, strings.NewReader(soap), anything, m.since)
			if err != nil || !strings.Contains(got, `"`+m.name+`":"x"`) {
				t.Errorf("%s.%s: %s %v", name, m.name, got, err)
			}
		}
	}
	if newer < 20 {
		t.Errorf("%d members are newer than the first release", newer)
	}
}

// cut fails after the text.
type cut struct{ text io.Reader }

var errLost = errors.New("the connection is lost")

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.text.Read(p)
	if errors.Is(err, io.EOF) {
		err = errLost
	}
	return n, err
}

func TestAnAnswerThatIsCutShortIsAnErrorAtEveryPlace(t *testing.T) {
	s := NewSchema()
	typ := shape(t, s, "[]Description")
	whole := answerOf(`<returnval><label>l</label><new>1</new><new>2</new></returnval><returnval/>`)
	for n := range len(whole) {
		if got, err := translate(s, strings.NewReader(whole[:n]), typ, vim.Release{}); err == nil {
			t.Errorf("%q gives %s", whole[:n], got)
		}
		if got, err := translate(s, &cut{strings.NewReader(whole[:n])}, typ, vim.Release{}); !errors.Is(err, errLost) {
			t.Errorf("%q, then an error, gives %s %v", whole[:n], got, err)
		}
	}
	for n := range len(whole) {
		part := &cut{io.LimitReader(slow(whole), int64(n))}
		if got, err := translate(s, part, typ, vim.Release{}); !errors.Is(err, errLost) {
			t.Errorf("%q slowly, then an error, gives %s %v", whole[:n], got, err)
		}
	}
}

// Whatever an upstream server sends: a result is JSON, and is the same however it arrives.
func FuzzAnswer(f *testing.F) {
	for _, content := range []string{
		`<returnval xsi:type="New"><a>1</a><a>2</a><b type="A">c</b></returnval>`,
		`<returnval xsi:type="ArrayOfByte"><byte>1</byte></returnval>`,
		`<returnval xsi:type="xsd:double">NaN</returnval>`,
		`<returnval xsi:type="HostDigestInfo"><digestValue>1</digestValue><x/></returnval>`, `<returnval>t</returnval>`,
		`<returnval xsi:type="ArrayOfOptionValue"><OptionValue><key>k</key><value xsi:type="xsd:int">1</value>` +
			`</OptionValue></returnval>`, `<returnval xsi:type="ObjectUpdate"><kind>enter</kind></returnval>`,
	} {
		f.Add(content)
	}
	s := NewSchema()
	f.Fuzz(func(t *testing.T, content string) {
		got, err := translate(s, strings.NewReader(answerOf(content)), anything, vim.Release{})
		if err != nil || got == "" {
			return
		}
		if !sameJSON(t, got, got) {
			t.Fatalf("%q gives %q, which is not JSON", content, got)
		}
		streamed, err := translate(s, slow(answerOf(content)), anything, vim.Release{})
		if err != nil || streamed != got {
			t.Fatalf("%q gives %q, but slowly %q, %v", content, got, streamed, err)
		}
	})
}
