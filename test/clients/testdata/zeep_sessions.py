"""Works with sessions as a client that zeep builds from the WSDL. Arguments: URL of the WSDL, file of the
server's certificate."""
import os
import sys

import requests
import zeep

WSDL, CA = sys.argv[1], sys.argv[2]
USER, PASSWORD = "administrator@vsphere.local", os.environ["VIGATE_ADMIN_PASSWORD"]


def ref(kind, value=None):
    return {"type": kind, "_value_1": value or kind}


class Client:
    """One client, with cookies of its own. All clients share what is built from the WSDL."""

    def __init__(self, shared=None):
        http = requests.Session()
        http.verify, http.trust_env = CA, False  # a bundle named in the environment would override CA
        transport = zeep.Transport(session=http)
        # The description is read once. The second client has its own transport.
        self.zeep = zeep.Client(WSDL, transport=transport) if shared is None else shared.with_transport(transport)
        self.vim = self.zeep.service
        self.content = self.vim.RetrieveServiceContent(ref("ServiceInstance"))

    def with_transport(self, transport):
        other = zeep.Client.__new__(zeep.Client)
        other.__dict__.update(self.zeep.__dict__)
        other.transport, other._default_service, other._default_soapheaders = transport, None, None
        return other

    def login(self, password=PASSWORD):
        return self.vim.Login(self.content.sessionManager, USER, password)

    def spec(self, *paths):
        manager = self.content.sessionManager
        return {"propSet": [{"type": manager["type"], "pathSet": list(paths)}], "objectSet": [{"obj": manager}]}

    def read(self, *paths):
        result = self.vim.RetrievePropertiesEx(self.content.propertyCollector, [self.spec(*paths)], {})
        return {p.name: p.val for p in result.objects[0].propSet}


def fault(of, f, *args):
    """The detail of the fault that a call raises, decoded by the schema, and its text."""
    try:
        f(*args)
    except zeep.exceptions.Fault as e:
        detail = e.detail[0]
        kind = detail.get("{http://www.w3.org/2001/XMLSchema-instance}type")
        assert detail.tag == "{urn:vim25}%sFault" % kind, detail.tag
        return kind, of.zeep.wsdl.types.get_element(detail.tag).parse(detail, of.zeep.wsdl.types), e.message
    raise AssertionError("no fault")


a = Client()
address = a.vim._binding_options["address"]
assert address == WSDL[:WSDL.index("/sdk")] + "/sdk/vimService", address
assert a.content.about.apiType == "VirtualCenter" and a.content.sessionManager["type"] == "SessionManager", a.content
kind, detail, text = fault(a, a.login, "wrong")
assert kind == "InvalidLogin" and text.startswith("Cannot complete login"), (kind, text)
own = a.login()
assert own.userName == "VSPHERE.LOCAL\\Administrator" and own.extensionSession is False, own
print("ok login")

b = Client(a)
theirs = b.login()
assert theirs.key != own.key, "two clients share a session"
for read in a.read("sessionList", "currentSession"), {
        p.name: p.val for p in a.vim.RetrieveProperties(
            a.content.propertyCollector, [a.spec("sessionList", "currentSession")])[0].propSet}:
    sessions = read["sessionList"]
    sessions = getattr(sessions, "UserSession", sessions)
    assert {own.key, theirs.key} <= {s.key for s in sessions}, sessions
    assert read["currentSession"].key == own.key and read["currentSession"].callCount >= 0, read
    assert all(s.loginTime.tzinfo and s.lastActiveTime >= s.loginTime for s in sessions), sessions
print("ok list", len(sessions))

a.vim.TerminateSession(a.content.sessionManager, [theirs.key])
kind, detail, text = fault(b, b.vim.TerminateSession, b.content.sessionManager, [own.key])
assert kind == "NotAuthenticated" and detail.privilegeId and detail.object["_value_1"], detail
kind, detail, text = fault(a, a.vim.TerminateSession, a.content.sessionManager, [theirs.key])
assert kind == "NotFound" and text, (kind, text)
print("ok terminate")

assert a.vim.CurrentTime(ref("ServiceInstance")).tzinfo
roles = a.vim.RetrievePropertiesEx(a.content.propertyCollector, [{
    "propSet": [{"type": "AuthorizationManager", "pathSet": ["roleList"]}],
    "objectSet": [{"obj": a.content.authorizationManager}]}], {}).objects[0].propSet[0].val
assert {r.name for r in getattr(roles, "AuthorizationRole", roles)} >= {"Admin", "ReadOnly"}, roles
option = a.zeep.get_type("{urn:vim25}OptionValue")
changed = option(key="vigate.message", value=zeep.xsd.AnyObject(zeep.xsd.String(), "x"))
kind, detail, text = fault(a, a.vim.UpdateOptions, a.content.setting, [changed])
assert kind == "InvalidName", (kind, text)
event = a.zeep.get_type("{urn:vim25}EventEx")(
    key=0, chainId=0, createdTime=a.vim.CurrentTime(ref("ServiceInstance")), userName="", eventTypeId="zeep.test",
    message="of zeep")
a.vim.PostEvent(a.content.eventManager, event)
events = a.vim.QueryEvents(a.content.eventManager, {"eventTypeId": ["zeep.test"]})
assert type(events[-1]).__name__ == "EventEx" and events[-1].message == "of zeep", events
print("ok types")

a.vim.Logout(a.content.sessionManager)
kind, detail, text = fault(a, a.vim.Logout, a.content.sessionManager)
assert kind == "NotAuthenticated", (kind, text)
print("ok logout")
