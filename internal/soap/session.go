package soap

import (
	"reflect"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/xmltoken"
)

// What clients read most has ways of its own into XML: a session, alone and by
// the hundred thousand, and what a PropertyCollector finds. The way of all other
// values is what their tests hold them to.

// session writes a session as an element of the name.
func (e *encoder) session(name string, s *types.UserSession, typed bool) {
	xsi := ""
	if typed {
		xsi = "UserSession"
	}
	e.open(name, xsi)
	e.buf = xmltoken.AppendText(append(e.buf, "<key>"...), s.Key)
	e.buf = xmltoken.AppendText(append(e.buf, "</key><userName>"...), s.UserName)
	e.buf = xmltoken.AppendText(append(e.buf, "</userName><fullName>"...), s.FullName)
	e.buf = append(e.buf, "</fullName><loginTime>"...)
	e.time(&s.LoginTime)
	e.buf = append(e.buf, "</loginTime><lastActiveTime>"...)
	e.time(&s.LastActiveTime)
	e.buf = xmltoken.AppendText(append(e.buf, "</lastActiveTime><locale>"...), s.Locale)
	e.buf = xmltoken.AppendText(append(e.buf, "</locale><messageLocale>"...), s.MessageLocale)
	e.buf = append(e.buf, "</messageLocale><extensionSession>"...)
	e.buf = strconv.AppendBool(e.buf, s.ExtensionSession)
	e.buf = xmltoken.AppendText(append(e.buf, "</extensionSession><ipAddress>"...), s.IpAddress)
	e.buf = xmltoken.AppendText(append(e.buf, "</ipAddress><userAgent>"...), s.UserAgent)
	e.buf = append(e.buf, "</userAgent><callCount>"...)
	e.buf = strconv.AppendInt(e.buf, s.CallCount, 10)
	e.buf = append(e.buf, "</callCount>"...)
	e.close(name)
}

// retrieved writes the result of RetrievePropertiesEx as an element of the name.
func (e *encoder) retrieved(name string, r *types.RetrieveResult) {
	e.open(name, "")
	if r.Token != "" {
		e.buf = xmltoken.AppendText(append(e.buf, "<token>"...), r.Token)
		e.buf = append(e.buf, "</token>"...)
	}
	for i := 0; i < len(r.Objects) && e.err == nil; i++ {
		e.content("objects", &r.Objects[i])
		e.flush()
	}
	e.close(name)
}

func (e *encoder) content(name string, o *types.ObjectContent) {
	e.open(name, "")
	e.reference("obj", &o.Obj, false)
	for i := 0; i < len(o.PropSet) && e.err == nil; i++ {
		p := &o.PropSet[i]
		e.buf = xmltoken.AppendText(append(e.buf, "<propSet><name>"...), p.Name)
		e.buf = append(e.buf, "</name>"...)
		e.any("val", p.Val)
		e.buf = append(e.buf, "</propSet>"...)
		e.flush()
	}
	if len(o.MissingSet) > 0 {
		e.element("missingSet", reflect.ValueOf(o.MissingSet), false)
	}
	e.close(name)
}

// any writes a value that may be of any type as an element of the name that says
// its type.
func (e *encoder) any(name string, value any) {
	switch v := value.(type) {
	case nil:
	case *types.UserSession:
		if v != nil {
			e.session(name, v, true)
		}
	case string:
		e.open(name, "xsd:string")
		e.buf = xmltoken.AppendText(e.buf, v)
		e.close(name)
	default:
		e.element(name, reflect.ValueOf(value), true)
	}
}

// time writes a time in UTC.
func (e *encoder) time(t *time.Time) {
	utc := t.UTC()
	if year := utc.Year(); year < 1 || year > 9999 {
		e.fail(reflect.TypeFor[time.Time]())
		return
	}
	e.buf = utc.AppendFormat(e.buf, time.RFC3339Nano)
}
