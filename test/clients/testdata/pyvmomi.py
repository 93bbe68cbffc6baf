"""Uses the server as pyVmomi's users do. Arguments: port, home of a socket."""
import os
import ssl
import sys
import threading

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import SoapStubAdapter, vim, vmodl

PORT = int(sys.argv[1])
USER, PASSWORD = "administrator@vsphere.local", os.environ["VIGATE_ADMIN_PASSWORD"]


def connect(user=USER, password=PASSWORD):
    return SmartConnect(host="127.0.0.1", port=PORT, user=user, pwd=password,
                        sslContext=ssl._create_unverified_context())


def anonymous():
    """A service instance without a login, on a connection of its own."""
    stub = SoapStubAdapter(host="127.0.0.1", port=PORT, path="/sdk", version="vim.version.version13",
                           sslContext=ssl._create_unverified_context())
    return vim.ServiceInstance("ServiceInstance", stub)


def raises(kind, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except kind as e:
        return e
    raise AssertionError("no %s from %s" % (kind.__name__, f))


def properties():
    si = connect()
    sm = si.content.sessionManager
    own = sm.currentSession
    assert own.userName == "VSPHERE.LOCAL\\Administrator", own
    assert own.callCount >= 0 and own.extensionSession is False and own.ipAddress == "127.0.0.1", own
    assert any(s.key == own.key for s in sm.sessionList)
    assert sm.defaultLocale == "en" and "de" in sm.messageLocaleList
    assert set(sm.messageLocaleList) <= set(sm.supportedLocaleList)
    assert sm.message == "" or isinstance(sm.message, str)
    assert si.content.about.apiType == "VirtualCenter"
    assert si.CurrentTime() is not None and si.serverClock is not None
    assert si.content.rootFolder.name == "Datacenters" and list(si.content.rootFolder.childEntity) == []
    for mo, names in {
        si.content.authorizationManager: ("roleList", "privilegeList", "description"),
        si.content.extensionManager: ("extensionList",),
        si.content.eventManager: ("latestEvent", "maxCollector", "description"),
        si.content.userDirectory: ("domainList",),
        si.content.setting: ("setting", "supportedOption"),
    }.items():
        for name in names:
            getattr(mo, name)
    assert anonymous().content.sessionManager.currentSession is None
    Disconnect(si)
    raises(vim.fault.NotAuthenticated, lambda: sm.message)


def bad_logins():
    e = raises(vim.fault.InvalidLogin, connect, password="wrong")
    assert "incorrect user name or password" in e.msg, e.msg
    sm = anonymous().content.sessionManager
    raises(vim.fault.InvalidLocale, sm.Login, USER, PASSWORD, "not a locale")
    raises(vim.fault.InvalidLogin, sm.LoginByToken)
    raises(vmodl.fault.NotSupported, sm.LoginBySSPI, "AAAA")
    raises(vim.fault.InvalidLogin, sm.CloneSession, "cst-VCT-nonsense")
    raises(vim.fault.NoClientCertificate, sm.LoginExtensionByCertificate, "com.example.none")
    raises(vim.fault.NoClientCertificate, sm.LoginExtensionBySubjectName, "com.example.none")
    raises(vmodl.fault.InvalidRequest, sm.AcquireLocalTicket, "root")
    raises(vim.fault.NotAuthenticated, sm.AcquireCloneTicket)


def methods():
    si = connect()
    sm = si.content.sessionManager
    # a clone of its own
    other = anonymous()
    cloned = other.content.sessionManager.CloneSession(sm.AcquireCloneTicket())
    assert cloned.key != sm.currentSession.key
    assert sm.SessionIsActive(cloned.key, "administrator@vsphere.local") is True
    raises(vim.fault.InvalidLogin, other.content.sessionManager.Login, USER, PASSWORD)
    # generic tickets
    t = sm.AcquireGenericServiceTicket(vim.SessionManager.HttpServiceRequestSpec(method="httpGet", url="https://x/y?z=1"))
    assert t.id and t.sslThumbprint
    vmomi = sm.AcquireGenericServiceTicket(vim.SessionManager.VmomiServiceRequestSpec(method=vim.SessionManager.CloneSession))
    assert vmomi.id.startswith("cst-VCT-")
    e = raises(vmodl.fault.InvalidArgument, sm.AcquireGenericServiceTicket,
               vim.SessionManager.HttpServiceRequestSpec(method="httpFetch", url="https://x/y"))
    assert e.invalidProperty == "spec.method", e
    # locale: texts come in it
    sm.SetLocale("de_DE")
    assert sm.currentSession.messageLocale == "de"
    raises(vim.fault.InvalidLocale, sm.SetLocale, "xx_XX")
    e = raises(vim.fault.NotFound, sm.TerminateSession, ["00000000-0000-4000-8000-000000000000"])
    assert "could not be found" not in e.msg, e.msg
    sm.SetLocale("en")
    # who is it acting as
    raises(vim.fault.InvalidLogin, sm.ImpersonateUser, "nobody@vsphere.local")
    # ending
    e = raises(vmodl.fault.InvalidArgument, sm.TerminateSession, [sm.currentSession.key])
    assert e.invalidProperty == "sessionId", e
    sm.TerminateSession([cloned.key])
    raises(vim.fault.NotAuthenticated, other.CurrentTime)
    assert sm.SessionIsActive(cloned.key, USER) is False
    # events
    em = si.content.eventManager
    events = em.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["vim.event.SessionTerminatedEvent"]))
    assert any(e.sessionId == cloned.key for e in events), events
    assert any("logged in as" in (e.fullFormattedMessage or "") for e in em.QueryEvents(vim.event.EventFilterSpec()))
    Disconnect(si)


def waiting():
    si, writer = connect(), connect()
    pc, sm = si.content.propertyCollector, si.content.sessionManager
    spec = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=sm)],
        propSet=[vmodl.query.PropertyCollector.PropertySpec(type=vim.SessionManager, pathSet=["message"])])
    f = pc.CreateFilter(spec, True)
    first = pc.WaitForUpdatesEx("", vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=120))
    assert first.filterSet[0].objectSet[0].changeSet[0].name == "message"
    text = "back at noon\nor later"
    timer = threading.Timer(0.2, lambda: writer.content.sessionManager.UpdateServiceMessage(text))
    timer.start()
    second = pc.WaitForUpdatesEx(first.version, vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=300))
    timer.join()
    assert second.filterSet[0].objectSet[0].changeSet[0].val == text, second
    assert sm.message == text
    assert pc.WaitForUpdatesEx(second.version, vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=0)) is None
    f.Destroy()
    writer.content.sessionManager.UpdateServiceMessage("")
    # a waiter whose session is terminated is told so at once
    pc.CreateFilter(spec, True)
    version = pc.WaitForUpdatesEx("", vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=120)).version
    key = sm.currentSession.key
    timer = threading.Timer(0.2, lambda: writer.content.sessionManager.TerminateSession([key]))
    timer.start()
    raises(vim.fault.NotAuthenticated, pc.WaitForUpdatesEx, version,
           vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=300))
    timer.join()
    Disconnect(writer)


for check in (properties, bad_logins, methods, waiting):
    check()
    print("ok", check.__name__)
