"""Logs in with a holder-of-key token. Each login is signed with the key of the token, by xmlsec.

The message has the form that newer pyVmomi gives it: the assertion, then a Timestamp, then a signature with
SHA-512 over the Body and the Timestamp.

Arguments: the port of the server, the file of the token, the file of its key, the file of another key.
"""
import datetime
import http.client
import ssl
import sys
import uuid

import xmlsec
from lxml import etree
from pyVmomi import SoapStubAdapter, vim

PORT, TOKEN_FILE, KEY, OTHER_KEY = int(sys.argv[1]), *sys.argv[2:5]
with open(TOKEN_FILE) as f:
    TOKEN = f.read().strip()

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-"
SECURITY, UTILITY = WSS + "secext-1.0.xsd", WSS + "utility-1.0.xsd"
PROFILE = "http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLID"


def moment(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def signed(request, key, change=None):
    """The request with a Timestamp and a signature. change changes it afterwards."""
    root = etree.fromstring(request)
    body = root.find("{%s}Body" % SOAP)
    security = root.find("{%s}Header/{%s}Security" % (SOAP, SECURITY))
    timestamp = etree.SubElement(security, "{%s}Timestamp" % UTILITY, nsmap={"ns3": UTILITY})
    for name, seconds in (("Created", 0), ("Expires", 60)):
        etree.SubElement(timestamp, "{%s}%s" % (UTILITY, name)).text = moment(seconds)
    signature = xmlsec.template.create(root, xmlsec.constants.TransformExclC14N,
                                       xmlsec.constants.TransformRsaSha512, ns="ds")
    security.append(signature)
    context = xmlsec.SignatureContext()
    for element in (body, timestamp):
        name = "_" + str(uuid.uuid4())
        element.set("{%s}Id" % UTILITY, name)
        reference = xmlsec.template.add_reference(signature, xmlsec.constants.TransformSha512, uri="#" + name)
        xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
        context.register_id(element, "Id", UTILITY)
    info = xmlsec.template.ensure_key_info(signature)
    reference = etree.SubElement(info, "{%s}SecurityTokenReference" % SECURITY, nsmap={"ns2": SECURITY})
    identifier = etree.SubElement(reference, "{%s}KeyIdentifier" % SECURITY, ValueType=PROFILE)
    identifier.text = etree.fromstring(TOKEN).get("ID")
    context.key = xmlsec.Key.from_file(key, xmlsec.constants.KeyDataFormatPem)
    context.sign(signature)
    if change:
        change(root)
    return etree.tostring(root)


def unverified():
    return ssl._create_unverified_context()


def service():
    """A service instance on a connection of its own, which sends the token with each request."""
    stub = SoapStubAdapter(host="localhost", port=PORT, path="/sdk", version="vim.version.version13",
                           sslContext=unverified(), samlToken=TOKEN)
    return stub, vim.ServiceInstance("ServiceInstance", stub).content.sessionManager


def unsigned(request):
    return request


def refused(what, modify):
    stub, sm = service()
    with stub.requestModifier(modify):
        try:  # inside, because Debian's pyVmomi has faults that can't leave a context of newer Python
            sm.LoginByToken()
        except vim.fault.InvalidLogin:
            print("refused:", what)
            return
    raise AssertionError("accepted: " + what)


def longer(root):
    """Adds a minute to the life of the message."""
    expires = root.find(".//{%s}Timestamp/{%s}Expires" % (UTILITY, UTILITY))
    expires.text = moment(120)


sent = []


def sign(request):
    sent.append(signed(request, KEY))
    return sent[-1]


for _ in range(2):  # the token can be used until it expires
    stub, sm = service()
    assert sm.currentSession is None  # the token alone is no session
    with stub.requestModifier(sign):
        sm.LoginByToken()
    print("session of", sm.currentSession.userName)
    sm.Logout()

refused("no signature", unsigned)
refused("the signature of another key", lambda request: signed(request, OTHER_KEY))
refused("a Timestamp that was changed", lambda request: signed(request, KEY, longer))

connection = http.client.HTTPSConnection("localhost", PORT, context=unverified())
connection.request("POST", "/sdk", sent[-1], {"Content-Type": "text/xml", "SOAPAction": '"urn:vim25/6.7.1"'})
answer = connection.getresponse()
text = answer.read().decode()
assert answer.status == 500 and "InvalidLogin" in text, (answer.status, text)
print("refused: a message that was sent before")
