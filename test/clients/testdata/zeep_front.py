"""Reads the inventory behind a front as a client that zeep builds from the front's WSDL. Arguments: URL of the
WSDL, password."""
import sys

import zeep

WSDL, PASSWORD = sys.argv[1:]
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def ref(kind, value=None):
    return {"type": kind, "_value_1": value or kind}


client = zeep.Client(WSDL)
vim = client.service
content = vim.RetrieveServiceContent(ref("ServiceInstance"))
assert content.about.apiType == "VirtualCenter" and content.viewManager, content.about
# The upstream would refuse a release that is newer than itself.
action = client.wsdl.services["VimService"].ports["VimPort"].binding.get("Login").soapaction
assert action == "urn:vim25/" + content.about.apiVersion, action
own = vim.Login(content.sessionManager, "administrator@vsphere.local", PASSWORD)
assert own.userName == "VSPHERE.LOCAL\\Administrator", own
print("ok login", len(vim._operations))

view = vim.CreateContainerView(content.viewManager, content.rootFolder, ["VirtualMachine", "HostSystem"], True)
assert view["type"] == "ContainerView", view
traversal = client.get_type("{urn:vim25}TraversalSpec")(
    name="view", type="ContainerView", path="view", skip=False, selectSet=[])
spec = {
    "propSet": [{"type": "VirtualMachine", "pathSet": ["name", "config.hardware.device", "runtime", "guest"]},
                {"type": "HostSystem", "pathSet": ["name", "summary", "vm"]}],
    "objectSet": [{"obj": view, "skip": True, "selectSet": [traversal]}],
}
result = vim.RetrievePropertiesEx(content.propertyCollector, [spec], {})
found = {}
for o in result.objects:
    assert not o.missingSet, o.missingSet
    found.setdefault(o.obj["type"], []).append({p.name: p.val for p in o.propSet})
machines, hosts = found["VirtualMachine"], found["HostSystem"]
print("ok inventory", len(machines), "machines", len(hosts), "hosts")
assert {m["name"] for m in machines} >= {"DC0_H0_VM0", "DC0_C0_RP0_VM1"}, machines
for m in machines:
    devices = m["config.hardware.device"]
    kinds = {type(d).__name__ for d in getattr(devices, "VirtualDevice", devices)}
    assert {"VirtualIDEController", "VirtualDisk", "VirtualE1000"} <= kinds, kinds
    assert m["runtime"].powerState == "poweredOn" and m["runtime"].host["type"] == "HostSystem", m["runtime"]
for h in hosts:
    assert h["summary"].hardware.numCpuCores > 0 and h["summary"].overallStatus, h["summary"]
print("ok types")

vim.DestroyView(view)
try:
    vim.DestroyView(view)
    raise AssertionError("the view is still there")
except zeep.exceptions.Fault as e:
    fault = client.wsdl.types.get_element(e.detail[0].tag).parse(e.detail[0], client.wsdl.types)
    assert e.detail[0].get(TYPE) == "ManagedObjectNotFound" and fault.obj["type"] == "ContainerView", fault
vim.Logout(content.sessionManager)
try:
    vim.CurrentTime(ref("ServiceInstance"))
    raise AssertionError("the session has not ended")
except zeep.exceptions.Fault as e:
    assert e.detail[0].get(TYPE) == "NotAuthenticated", e.detail[0].items()
print("ok logout")
