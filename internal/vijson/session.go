package vijson

import (
	"iter"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"
)

// session writes a session as value does, which is what its test holds it to.
func (e *encoder) session(s *types.UserSession) {
	e.buf = append(e.buf, `{"`+typeNameKey+`":"UserSession","key":`...)
	e.string(s.Key)
	e.buf = append(e.buf, `,"userName":`...)
	e.string(s.UserName)
	e.buf = append(e.buf, `,"fullName":`...)
	e.string(s.FullName)
	e.buf = append(e.buf, `,"loginTime":`...)
	e.time(&s.LoginTime)
	e.buf = append(e.buf, `,"lastActiveTime":`...)
	e.time(&s.LastActiveTime)
	e.buf = append(e.buf, `,"locale":`...)
	e.string(s.Locale)
	e.buf = append(e.buf, `,"messageLocale":`...)
	e.string(s.MessageLocale)
	e.buf = append(e.buf, `,"extensionSession":`...)
	e.buf = strconv.AppendBool(e.buf, s.ExtensionSession)
	e.buf = append(e.buf, `,"ipAddress":`...)
	e.string(s.IpAddress)
	e.buf = append(e.buf, `,"userAgent":`...)
	e.string(s.UserAgent)
	e.buf = append(e.buf, `,"callCount":`...)
	e.buf = strconv.AppendInt(e.buf, s.CallCount, 10)
	e.buf = append(e.buf, '}')
}

// sessions writes a list of sessions as sequence does.
func (e *encoder) sessions(all iter.Seq[types.UserSession]) {
	e.buf = append(e.buf, '[')
	start := true
	for s := range all {
		if !start {
			e.buf = append(e.buf, ',')
		}
		start = false
		e.session(&s)
		if e.flush(); e.err != nil {
			return
		}
	}
	e.buf = append(e.buf, ']')
}
