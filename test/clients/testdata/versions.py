"""Connects with each version that the server lists, and reads everything with it.

pyVmomi takes members that are newer than the version it speaks, if only it knows them.
Here it does not: whoever has only the old types would fail. Argument: port.
"""
import os
import ssl
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import SoapAdapter, VmomiSupport, vim, vmodl

PORT = int(sys.argv[1])
USER, PASSWORD = "administrator@vsphere.local", os.environ["VIGATE_ADMIN_PASSWORD"]
CONTEXT = ssl._create_unverified_context()
NEWEST = "vim.version.version13"

# What pyVmomi 6.7.1 does not know of what newer versions get.
VmomiSupport.GetVmodlType("vim.AboutInfo")._propInfo["patchLevel"] = VmomiSupport.Object(
    name="patchLevel", type=str, version=NEWEST, flags=VmomiSupport.F_OPTIONAL)

spoken = None


def known(version):
    return VmomiSupport.IsChildVersion(spoken, version)


def strict(original):
    """Fails where what is read is newer than the version: a member, or the type of a value.

    pyVmomi calls RetrievePropertiesEx with 4.0 too. Of a type that is itself newer than
    the version nothing is asked.
    """
    def start(self, tag, attr):
        parent = self.stack[-1] if self.stack else None
        if isinstance(parent, VmomiSupport.DataObject) and known(parent._version):
            _, name = self.SplitTag(tag)
            info = parent._GetPropertyInfo(name)
            if not known(info.version):
                raise AssertionError("%s.%s is newer than %s" % (type(parent), name, spoken))
        original(self, tag, attr)
        made = self.stack[-1]
        if parent is not None and isinstance(made, VmomiSupport.DataObject) and not known(made._version):
            raise AssertionError("%s is newer than %s" % (type(made), spoken))
    return start


SoapAdapter.SoapDeserializer.StartElementHandler = strict(SoapAdapter.SoapDeserializer.StartElementHandler)


def accessor(self, mo, info):
    """Reads a property as clients of 4.0 do. pyVmomi's own way is an operation of 4.1."""
    pc = vim.ServiceInstance("ServiceInstance", self).RetrieveContent().propertyCollector
    spec = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=mo)],
        propSet=[vmodl.query.PropertyCollector.PropertySpec(type=type(mo), pathSet=[info.name])])
    found = pc.RetrieveContents([spec])[0]
    if found.missingSet:
        raise found.missingSet[0].fault
    return found.propSet[0].val if found.propSet else None


def listed():
    url = "https://127.0.0.1:%d/sdk/vimServiceVersions.xml" % PORT
    root = ElementTree.fromstring(urllib.request.urlopen(url, context=CONTEXT).read())
    space = root.find("namespace")
    return [space.findtext("version")] + [v.text for v in space.findall("priorVersions/version")]


def named(version):
    """The name of a version. pyVmomi learns those that it does not have."""
    for name, number in VmomiSupport.versionIdMap.items():
        if number == version and name.startswith("vim.version."):
            return name
    name = "vim.version.v" + version.replace(".", "_")
    VmomiSupport.AddVersion(name, "vim25", version, 0, "vim25")
    VmomiSupport.AddVersionParent(name, name)
    for parent in list(VmomiSupport.parentMap[NEWEST]):
        VmomiSupport.AddVersionParent(name, parent)
    return name


def read(mo):
    """Reads each property that the version has. Returns how many that were."""
    n = 0
    for info in mo._GetPropertyList():
        if not known(info.version):
            continue
        getattr(mo, info.name)
        n += 1
    return n


def check(version):
    global spoken
    spoken = named(version)
    if version == "4.0":
        SoapAdapter.SoapStubAdapter.InvokeAccessor = accessor
    si = SmartConnect(host="127.0.0.1", port=PORT, user=USER, pwd=PASSWORD, sslContext=CONTEXT,
                      preferredApiVersions=spoken)
    assert si._stub.version == spoken, si._stub.version
    c = si.content
    n = sum(read(mo) for mo in (
        si, c.sessionManager, c.authorizationManager, c.extensionManager, c.eventManager, c.userDirectory,
        c.setting, c.rootFolder, c.propertyCollector, c.viewManager, c.searchIndex, c.accountManager) if mo)
    assert n > 30, n
    s = c.sessionManager.currentSession
    assert s.userName == "VSPHERE.LOCAL\\Administrator", s
    # Retrieved, and waited for.
    spec = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=c.sessionManager)],
        propSet=[vmodl.query.PropertyCollector.PropertySpec(type=vim.SessionManager, all=True)])
    pc = c.propertyCollector
    assert pc.RetrieveContents([spec])[0].propSet, spec
    f = pc.CreateFilter(spec, True)
    names = [x.name for x in pc.WaitForUpdates("").filterSet[0].objectSet[0].changeSet]
    assert "currentSession" in names, names
    f.Destroy()
    events = c.eventManager.QueryEvents(vim.event.EventFilterSpec())
    assert events, events
    collector = c.eventManager.CreateCollector(vim.event.EventFilterSpec())
    read(collector)
    collector.Remove()
    Disconnect(si)
    print("ok", version, spoken, n)


versions = listed()
for v in versions:
    check(v)
print("ok all", len(versions))
