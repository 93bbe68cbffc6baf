"""Works with sessions as a client that suds builds from the WSDL. Argument: URL of the WSDL."""
import os
import sys

import suds
from suds.client import Client
from suds.sudsobject import Property

USER, PASSWORD = "administrator@vsphere.local", os.environ["VIGATE_ADMIN_PASSWORD"]


def ref(kind, value=None):
    r = Property(value or kind)
    r._type = kind
    return r


def open_client():
    c = Client(sys.argv[1], cache=None)
    return c, c.service.RetrieveServiceContent(ref("ServiceInstance"))


def fault(f, *args):
    try:
        f(*args)
    except suds.WebFault as e:
        return list(dict(e.fault.detail))[0]
    raise AssertionError("no fault")


def sessions(c, content):
    make = c.factory.create
    spec, kind, of = (make("ns0:" + n) for n in ("PropertyFilterSpec", "PropertySpec", "ObjectSpec"))
    kind.type, kind.pathSet, of.obj = "SessionManager", ["sessionList"], content.sessionManager
    spec.propSet, spec.objectSet = [kind], [of]
    r = c.service.RetrievePropertiesEx(content.propertyCollector, [spec], make("ns0:RetrieveOptions"))
    return [s.key for s in r.objects[0].propSet[0].val.UserSession]


a, content = open_client()
assert fault(a.service.Login, content.sessionManager, USER, "wrong") == "InvalidLoginFault"
own = a.service.Login(content.sessionManager, USER, PASSWORD)
b, _ = open_client()
theirs = b.service.Login(content.sessionManager, USER, PASSWORD)
print("ok login")
assert {own.key, theirs.key} <= set(sessions(a, content))
print("ok list")
a.service.TerminateSession(content.sessionManager, [theirs.key])
assert fault(b.service.TerminateSession, content.sessionManager, [own.key]) == "NotAuthenticatedFault"
print("ok terminate")
a.service.Logout(content.sessionManager)
assert fault(a.service.Logout, content.sessionManager) == "NotAuthenticatedFault"
print("ok logout")
