package vijson

import (
	"iter"
	"strconv"

	"github.com/vmware/govmomi/vim25/types"
)

// session appends a session. The output is the same as that of value, with which its test compares it.
func (e *encoder) session(s *types.UserSession) {
	e.Buf = append(e.Buf, `{"`+typeNameKey+`":"UserSession","key":`...)
	e.string(s.Key)
	e.Buf = append(e.Buf, `,"userName":`...)
	e.string(s.UserName)
	e.Buf = append(e.Buf, `,"fullName":`...)
	e.string(s.FullName)
	e.Buf = append(e.Buf, `,"loginTime":`...)
	e.time(&s.LoginTime)
	e.Buf = append(e.Buf, `,"lastActiveTime":`...)
	e.time(&s.LastActiveTime)
	e.Buf = append(e.Buf, `,"locale":`...)
	e.string(s.Locale)
	e.Buf = append(e.Buf, `,"messageLocale":`...)
	e.string(s.MessageLocale)
	e.Buf = append(e.Buf, `,"extensionSession":`...)
	e.Buf = strconv.AppendBool(e.Buf, s.ExtensionSession)
	e.Buf = append(e.Buf, `,"ipAddress":`...)
	e.string(s.IpAddress)
	e.Buf = append(e.Buf, `,"userAgent":`...)
	e.string(s.UserAgent)
	e.Buf = append(e.Buf, `,"callCount":`...)
	e.Buf = strconv.AppendInt(e.Buf, s.CallCount, 10)
	e.Buf = append(e.Buf, '}')
}

// sessions appends a list of sessions. The output is the same as that of sequence.
func (e *encoder) sessions(all iter.Seq[types.UserSession]) {
	e.Buf = append(e.Buf, '[')
	start := true
	for s := range all {
		if !start {
			e.Buf = append(e.Buf, ',')
		}
		start = false
		e.session(&s)
		if e.flush(); e.Err != nil {
			return
		}
	}
	e.Buf = append(e.Buf, ']')
}
