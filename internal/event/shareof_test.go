package event

import "testing"

func TestAnEventBelongsToItsPartOfTheLog(t *testing.T) {
	const me, other = `VSPHERE.LOCAL\ann`, `VSPHERE.LOCAL\bob`
	for _, c := range []struct {
		e    Event
		want share
	}{
		{Event{Type: "UserLoginSessionEvent", User: me}, sessions},
		{Event{Type: "UserLogoutSessionEvent", User: me}, sessions},
		{Event{Type: "GlobalMessageChangedEvent", User: me}, sessions},
		{Event{Type: "ServerStartedSessionEvent"}, authority},
		{Event{Type: "BadUsernameSessionEvent", User: me}, failures},
		{Event{Type: "NoAccessUserEvent", User: me}, failures},
		{Event{Type: "AlreadyAuthenticatedSessionEvent", User: me}, failures},
		{Event{Type: "SessionTerminatedEvent", User: me, Subject: other}, authority},
		{Event{Type: "SessionTerminatedEvent", User: me, Subject: `vsphere.local\ANN`}, sessions},
		{Event{Type: "SessionTerminatedEvent", User: me, Origin: other, Subject: me}, authority},
		{Event{Type: "RoleAddedEvent"}, authority},
		{Event{Type: "PermissionRemovedEvent"}, authority},
		{Event{Type: "GeneralUserEvent", User: me}, others},
		{Event{Type: "SessionEvent"}, others},
		{Event{Type: "EventEx"}, others},
		{Event{Type: "EventEx", ID: "com.example.x"}, others},
		{Event{Type: "EventEx", ID: "VIGATE.role.added"}, others},
		{Event{Type: "GeneralUserEvent", ID: "vigate.role.added"}, others},
		{Event{Type: "EventEx", ID: "vigate.role.updated"}, authority},
		{Event{Type: "EventEx", ID: "vigate.permission.set"}, authority},
		{Event{Type: "EventEx", ID: "vigate.extension.unregistered"}, authority},
		{Event{Type: "EventEx", ID: "vigate.setting.updated"}, authority},
		{Event{Type: "EventEx", ID: "vigate.session.impersonated"}, authority},
		{Event{Type: "EventEx", ID: "vigate.account.removed", User: me, Subject: other}, authority},
		{Event{Type: "EventEx", ID: "vigate.account.password", User: me, Subject: me}, sessions},
		{Event{Type: "EventEx", ID: "vigate.account.password", User: me, Origin: other, Subject: me}, authority},
		{Event{Type: "EventEx", ID: "vigate.account.locked", User: me, Subject: me}, failures},
		{Event{Type: "EventEx", ID: "vigate.account.locked", User: me, Subject: me + " from 192.0.2.1"}, failures},
		{Event{Type: "EventEx", ID: "vigate.login.failed", User: me}, failures},
		{Event{Type: "EventEx", ID: "vigate.ticket.clone.issued", User: me}, others},
		{Event{Type: "EventEx", ID: "vigate.ticket.local.used", User: me, Subject: me}, others},
	} {
		if got := shareOf(&c.e); got != c.want {
			t.Errorf("%+v is of part %d, want %d", c.e, got, c.want)
		}
	}
	all := quota{}
	for _, q := range quotas {
		all.events, all.bytes = all.events+q.events, all.bytes+q.bytes
		if q.bytes < 64*maxEvent {
			t.Errorf("%d bytes are room for few of the longest events", q.bytes)
		}
	}
	if all.events != 100_000 || all.bytes != 64<<20 || quotas[failures].events*4 > all.events {
		t.Errorf("the log keeps %+v, of failed logins %+v", all, quotas[failures])
	}
}
