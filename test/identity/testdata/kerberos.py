"""Prints a token of Kerberos for HTTP@localhost in base64, or logs in with one.

Arguments: the mechanism (spnego or krb5), and the port of a server to log in to.
"""
import base64
import ssl
import sys

import gssapi

MECHANISMS = {"spnego": "1.3.6.1.5.5.2", "krb5": "1.2.840.113554.1.2.2"}


def token():
    name = gssapi.Name("HTTP@localhost", gssapi.NameType.hostbased_service)
    mech = gssapi.OID.from_int_seq(MECHANISMS[sys.argv[1]])
    context = gssapi.SecurityContext(name=name, mech=mech, usage="initiate")
    return base64.b64encode(context.step()).decode()


if len(sys.argv) == 2:
    print(token())
    sys.exit()

from pyVim.connect import Disconnect, SmartConnect

si = SmartConnect(host="localhost", port=int(sys.argv[2]), b64token=token(), mechanism="sspi",
                  sslContext=ssl._create_unverified_context())
own = si.content.sessionManager.currentSession
print("session of", own.userName)
Disconnect(si)
