package soap

import (
	"reflect"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/xmltoken"
)

// The results that clients read most have encoders of their own, which are faster than the general one:
// sessions, of which a list can have a hundred thousand, and the results of a PropertyCollector. The tests
// compare their output with the general encoder's.

// session appends a session as an element of the given name.
func (e *encoder) session(name string, s *types.UserSession, typed bool) {
	xsi := ""
	if typed {
		xsi = "UserSession"
	}
	e.open(name, xsi)
	e.Buf = xmltoken.AppendText(append(e.Buf, "<key>"...), s.Key)
	e.Buf = xmltoken.AppendText(append(e.Buf, "</key><userName>"...), s.UserName)
	e.Buf = xmltoken.AppendText(append(e.Buf, "</userName><fullName>"...), s.FullName)
	e.Buf = append(e.Buf, "</fullName><loginTime>"...)
	e.time(&s.LoginTime)
	e.Buf = append(e.Buf, "</loginTime><lastActiveTime>"...)
	e.time(&s.LastActiveTime)
	e.Buf = xmltoken.AppendText(append(e.Buf, "</lastActiveTime><locale>"...), s.Locale)
	e.Buf = xmltoken.AppendText(append(e.Buf, "</locale><messageLocale>"...), s.MessageLocale)
	e.Buf = append(e.Buf, "</messageLocale>"...)
	if !e.release.Before(sinceExtensionSession) {
		e.Buf = append(e.Buf, "<extensionSession>"...)
		e.Buf = strconv.AppendBool(e.Buf, s.ExtensionSession)
		e.Buf = append(e.Buf, "</extensionSession>"...)
	}
	if !e.release.Before(sinceCallCount) {
		e.Buf = xmltoken.AppendText(append(e.Buf, "<ipAddress>"...), s.IpAddress)
		e.Buf = xmltoken.AppendText(append(e.Buf, "</ipAddress><userAgent>"...), s.UserAgent)
		e.Buf = append(e.Buf, "</userAgent><callCount>"...)
		e.Buf = strconv.AppendInt(e.Buf, s.CallCount, 10)
		e.Buf = append(e.Buf, "</callCount>"...)
	}
	e.close(name)
}

// retrieved appends the result of RetrievePropertiesEx as an element of the given name.
func (e *encoder) retrieved(name string, r *types.RetrieveResult) {
	e.open(name, "")
	if r.Token != "" {
		e.Buf = xmltoken.AppendText(append(e.Buf, "<token>"...), r.Token)
		e.Buf = append(e.Buf, "</token>"...)
	}
	for i := 0; i < len(r.Objects) && e.Err == nil; i++ {
		e.content("objects", &r.Objects[i])
		e.Flush()
	}
	e.close(name)
}

func (e *encoder) content(name string, o *types.ObjectContent) {
	e.open(name, "")
	e.reference("obj", &o.Obj, false)
	for i := 0; i < len(o.PropSet) && e.Err == nil; i++ {
		p := &o.PropSet[i]
		e.Buf = xmltoken.AppendText(append(e.Buf, "<propSet><name>"...), p.Name)
		e.Buf = append(e.Buf, "</name>"...)
		e.any("val", p.Val)
		e.Buf = append(e.Buf, "</propSet>"...)
		e.Flush()
	}
	if len(o.MissingSet) > 0 {
		e.element("missingSet", reflect.ValueOf(o.MissingSet), false)
	}
	e.close(name)
}

// any appends a value whose declared type is anyType, as an element that names the type of the value.
func (e *encoder) any(name string, value any) {
	switch v := value.(type) {
	case nil:
	case *types.UserSession:
		if v != nil {
			e.session(name, v, true)
		}
	case string:
		e.open(name, "xsd:string")
		e.Buf = xmltoken.AppendText(e.Buf, v)
		e.close(name)
	default:
		e.element(name, reflect.ValueOf(value), true)
	}
}

// time appends a time in UTC.
func (e *encoder) time(t *time.Time) {
	var ok bool
	if e.Buf, ok = schema.AppendDateTime(e.Buf, *t); !ok {
		e.fail(schema.Time)
	}
}
