package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/locale"
)

// ticketUse is one use of a ticket and the audit line that must be logged for it.
type ticketUse struct {
	what     string
	use      func()
	user     string
	outcome  string
	ticketed string // the field ticketOutcome, which only service tickets have
}

// ticketTour is a server and the tickets that were used on it.
type ticketTour struct {
	*scene
	secrets []string
}

// soap sends a message without a token.
func (s *ticketTour) soap(body, cookie string) {
	s.t.Helper()
	req, err := http.NewRequest("POST", s.plain+"/sdk",
		strings.NewReader(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>`+body+
			`</Body></Envelope>`))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/xml")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	s.send(req)
}

// kindsOfTickets returns the kinds of tickets for which there are events. Every kind must have one.
func kindsOfTickets() []string {
	var kinds []string
	for _, key := range locale.Keys() {
		if kind, ok := strings.CutSuffix(key, ".used"); ok && strings.HasPrefix(kind, "event.vigate.ticket.") {
			kinds = append(kinds, strings.TrimPrefix(kind, "event.vigate.ticket."))
		}
	}
	return kinds
}

// Each use of a ticket is logged in one audit line, for every kind of ticket, every binding and
// every outcome. The line has the kind, the operation, the outcome and the user, and never the
// ticket.
func TestEveryUseOfATicketLeavesItsAuditLine(t *testing.T) {
	t.Parallel()
	s := &ticketTour{scene: newScene(t, func(c *config.Config) {
		jsonLog(c)
		c.LogLevel = 0
		c.LocalTickets = config.LocalTicketsLoopback
	})}
	uses := map[string]map[string][]ticketUse{
		"generic": {"service": append(s.serviceTickets("vijson"), s.serviceTickets("soap")...)},
		"clone":   {"clone": s.cloneTickets()},
		"local":   {"local": s.localTickets()},
	}
	for _, kind := range kindsOfTickets() {
		if uses[kind] == nil {
			t.Errorf("tickets of the kind %s are not tested", kind)
		}
	}
	if len(uses) != len(kindsOfTickets()) {
		t.Errorf("there are tickets of the kinds %v", kindsOfTickets())
	}
	for _, named := range uses {
		for name, all := range named {
			for _, u := range all {
				before := s.logged()
				u.use()
				lines := s.audit(before)
				if len(lines) != 1 {
					t.Errorf("%s, %s: %d lines: %v", name, u.what, len(lines), lines)
					continue
				}
				l := lines[0]
				if l.text("ticket") != name || l.text("outcome") != u.outcome || l.text("user") != u.user ||
					l.text("ticketOutcome") != u.ticketed ||
					l.text("operation") == "" || l.text("address") == "" || l.text("binding") == "" {
					t.Errorf("%s, %s: want %s of %q, got %v", name, u.what, u.outcome, u.user, l)
				}
			}
		}
	}
	for _, secret := range s.secrets {
		if strings.Contains(s.log.String(), secret) {
			t.Error("the log contains a ticket")
		}
	}
}

const administratorName = `VSPHERE.LOCAL\Administrator`

// serviceTickets uses service tickets, which are sent as a cookie with any operation.
func (s *ticketTour) serviceTickets(binding string) []ticketUse {
	const target = "/sdk/vim25/8.0.1.0/SessionManager/SessionManager/"
	url := map[string]string{"vijson": target + "sessionList", "soap": "/sdk"}[binding]
	acquire := func(token string) string {
		ticket := s.must(token, sm+"AcquireGenericServiceTicket",
			fmt.Sprintf(`{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec","url":%q}}`, url)).member("id")
		s.secrets = append(s.secrets, ticket)
		return ticket
	}
	send := func(ticket string) func() {
		return func() {
			if binding == "vijson" {
				s.get("sessionList", "Cookie", "vmware_cgi_ticket="+ticket)
				return
			}
			s.soap(`<AcquireCloneTicket xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>`+
				`</AcquireCloneTicket>`, "vmware_cgi_ticket="+ticket)
		}
	}
	good, nobodys := acquire(s.admin), acquire("")
	other := s.must(s.admin, sm+"AcquireGenericServiceTicket",
		`{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec","url":"/other"}}`).member("id")
	ended, _ := s.loginAs(adminUser, adminPassword)
	dead := acquire(ended)
	s.must(ended, sm+"Logout", "")
	made := "00000000-0000-4000-8000-000000000000"
	s.secrets = append(s.secrets, other, made)
	return []ticketUse{
		{binding + ", good", send(good), administratorName, "success", "spent"},
		{binding + ", spent", send(good), "", "NotAuthenticated", "refused"},
		{binding + ", of nobody", send(nobodys), "", "NotAuthenticated", "spent"},
		{binding + ", for another request", send(other), "", "NotAuthenticated", "refused"},
		{binding + ", of an ended session", send(dead), "", "NotAuthenticated", "refused"},
		{binding + ", unknown", send(made), "", "NotAuthenticated", "refused"},
		{binding + ", of another form", send("x"), "", "NotAuthenticated", "refused"},
	}
}

// cloneTickets uses clone tickets, which are the argument of CloneSession. A service ticket for
// CloneSession is also one.
func (s *ticketTour) cloneTickets() []ticketUse {
	clone := s.must(s.admin, sm+"AcquireCloneTicket", "").text()
	generic := s.must(s.admin, sm+"AcquireGenericServiceTicket",
		`{"spec":{"_typeName":"SessionManagerVmomiServiceRequestSpec","method":"cloneSession"}}`).member("id")
	onLive := s.must(s.admin, sm+"AcquireCloneTicket", "").text()
	s.secrets = append(s.secrets, clone, generic, onLive)
	send := func(token, ticket string) func() {
		return func() { s.call(token, sm+"CloneSession", fmt.Sprintf(`{"cloneTicket":%q}`, ticket)) }
	}
	bySOAP := func(ticket string) func() {
		return func() {
			s.soap(`<CloneSession xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><cloneTicket>`+
				ticket+`</cloneTicket></CloneSession>`, "")
		}
	}
	return []ticketUse{
		{"good", send("", clone), administratorName, "success", ""},
		{"spent", send("", clone), "", "InvalidLogin", ""},
		{"spent, by SOAP", bySOAP(clone), "", "InvalidLogin", ""},
		{"of a service ticket, by SOAP", bySOAP(generic), administratorName, "success", ""},
		{"on a live session", send(s.admin, onLive), administratorName, "InvalidLogin", ""},
		{"unknown", send("", "x"), "", "InvalidLogin", ""},
	}
}

// localTickets uses local tickets, which are sent as the password of an account of the operating
// system.
func (s *ticketTour) localTickets() []ticketUse {
	name, password, _ := s.localTicket()
	_, bare, _ := s.localTicket()
	s.secrets = append(s.secrets, password, bare)
	send := func(name, password string) func() {
		return func() { s.call("", sm+"Login", loginBody(name, password)) }
	}
	return []ticketUse{
		{"good", send(name, password), name, "success", ""},
		{"spent", send(name, password), name, "InvalidLogin", ""},
		{"of a bare name", send(strings.TrimPrefix(name, `LOCALOS\`), bare), name, "success", ""},
		{"unknown", send(name, "x"), name, "InvalidLogin", ""},
	}
}

// A ticket that is sent together with a live token is not used and stays valid.
func TestATicketBesideALiveTokenIsNotUsed(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *config.Config) { jsonLog(c); c.LogLevel = 0 })
	ticket := s.must(s.admin, sm+"AcquireGenericServiceTicket",
		`{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec",`+
			`"url":"/sdk/vim25/8.0.1.0/SessionManager/SessionManager/message"}}`).member("id")
	before := s.logged()
	s.get("message", "Cookie", `vmware_soap_session="`+s.admin+`"; vmware_cgi_ticket=`+ticket)
	if all := s.audit(before); len(all) != 0 {
		t.Errorf("lines %v", all)
	}
	if a := s.get("message", "Cookie", "vmware_cgi_ticket="+ticket); a.status != 200 {
		t.Errorf("the ticket: %d %s", a.status, a.body)
	}
	if all := s.audit(before); len(all) != 1 || all[0].text("ticketOutcome") != "spent" {
		t.Errorf("lines %v", all)
	}
}
