"""Holds a file of releases of members (see its head) to pyVmomi's own. Argument: file."""
import sys

from pyVmomi import VmomiSupport

VmomiSupport.GetWsdlTypes()
# The versions of vmodl, which have no number of their own, by those of vim that have
# them first.
QUERY = {"1": "2.0", "2": "4.0", "3": "4.1", "4": "5.0"}
BASE = {"0": "2.0", "1": "4.0", "2": "5.0"}


def release(version):
    if version.startswith("vmodl.query."):
        return QUERY[version[-1]]
    if version.startswith("vmodl."):
        return BASE[version[-1]]
    number = VmomiSupport.versionIdMap[version]
    return "2.5" if number.startswith("2.5") else number


types = {}
for (_, _), kind in VmomiSupport._wsdlTypeMap.items():
    if isinstance(kind, type) and issubclass(kind, (VmomiSupport.DataObject, Exception)):
        types[VmomiSupport.GetWsdlName(kind)] = kind

checked = 0
for line in open(sys.argv[1]):
    words = line.split()
    if not words or words[0] == "#":
        continue
    name, said = words[:2]
    kind = types.get(name)
    for member in words[2:]:
        info = kind._propInfo.get(member) if kind else None
        want = release(info.version) if info else "7.0"
        assert said == want, "%s.%s is of %s, not %s" % (name, member, want, said)
        checked += 1
    if len(words) == 2 and kind:
        assert said == release(kind._version), "%s is of %s, not %s" % (name, release(kind._version), said)
print("ok", checked)
