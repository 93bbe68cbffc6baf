"""Logs in with a bearer token, which it sends with every request, as newer pyVmomi does.

Arguments: the port of the server, and the token.
"""
import ssl
import sys

from pyVmomi import SoapStubAdapter, vim

TOKEN = sys.argv[2]


class BearerStub(SoapStubAdapter):
    """Debian's pyVmomi has no option for headers of its own."""

    def GetConnection(self):
        connection = super().GetConnection()
        if not hasattr(connection, "plain_request"):
            connection.plain_request = connection.request

            def request(method, url, body=None, headers=None):
                headers = dict(headers or {}, Authorization="Bearer " + TOKEN)
                return connection.plain_request(method, url, body, headers)

            connection.request = request
        return connection


def service():
    return vim.ServiceInstance("ServiceInstance", BearerStub(
        host="localhost", port=int(sys.argv[1]), path="/sdk", version="vim.version.version13",
        sslContext=ssl._create_unverified_context()))


for _ in range(2):  # the token is good for many logins
    si = service()
    sm = si.content.sessionManager
    assert sm.currentSession is None  # the header alone is no session
    sm.LoginByToken()
    print("session of", sm.currentSession.userName)
    assert len(sm.supportedLocaleList) > 0
    sm.Logout()
    assert sm.currentSession is None
