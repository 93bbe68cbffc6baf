"""Uses a server as pyVmomi's users use a vCenter or an ESXi host. Arguments: port, user. Variable: VIGATE_PASSWORD."""
import os
import ssl
import sys
import threading

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

PORT, USER = int(sys.argv[1]), sys.argv[2]
ROUNDS = 2
# Without summary.config and runtime, of which the simulator sends what Debian's pyVmomi does not know.
PATHS = ["name", "parent", "datastore", "network", "resourcePool", "config.hardware", "config.extraConfig",
         "summary.config.name", "summary.storage", "runtime.powerState", "runtime.host", "recentTask", "permission"]


def connect():
    return SmartConnect(host="127.0.0.1", port=PORT, user=USER, pwd=os.environ["VIGATE_PASSWORD"],
                        sslContext=ssl._create_unverified_context())


def machines(si):
    """The names and states of all virtual machines, by a container view and one retrieval."""
    content = si.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[
            collector.TraversalSpec(name="view", path="view", skip=False, type=type(view))])],
        propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=PATHS)])
    found = {}
    result = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions(maxObjects=2))
    while result is not None:
        for o in result.objects:
            values = {p.name: p.val for p in o.propSet}
            assert values["summary.config.name"] == values["name"], values["name"]
            assert values["config.hardware"].device, values["name"]
            found[values["name"]] = values["runtime.powerState"]
        if not result.token:
            break
        result = content.propertyCollector.ContinueRetrievePropertiesEx(result.token)
    for vm in view.view:
        try:
            assert vm.name in found or vm.name.startswith("client"), vm.name  # each name by Fetch
        except vmodl.fault.ManagedObjectNotFound:
            pass  # the other client has just destroyed it
    view.DestroyView()
    return found


def wait_for(task, si):
    """Waits for the end of a task. Debian's pyVim.task fails if it sees a task that runs."""
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=task)],
        propSet=[collector.PropertySpec(type=vim.Task, pathSet=["info.state"])])
    own = si.content.propertyCollector.CreateFilter(spec, True)
    try:
        version = ""
        while True:
            version = si.content.propertyCollector.WaitForUpdatesEx(version).version
            state = task.info.state
            if state == "success":
                return
            if state == "error":
                raise task.info.error
    finally:
        own.Destroy()


def life(si, name):
    """Makes, powers and destroys a virtual machine."""
    content = si.content
    datacenter = next(e for e in content.rootFolder.childEntity if isinstance(e, vim.Datacenter))
    compute = next(e for e in datacenter.hostFolder.childEntity if isinstance(e, vim.ComputeResource))
    config = vim.vm.ConfigSpec(name=name, memoryMB=64, numCPUs=1, guestId="otherGuest",
                               files=vim.vm.FileInfo(vmPathName="[%s]" % datacenter.datastore[0].name))
    task = datacenter.vmFolder.CreateVM_Task(config=config, pool=compute.resourcePool, host=compute.host[0])
    wait_for(task, si)
    vm = task.info.result
    assert vm.name == name and machines(si)[name] == "poweredOff", vm.name
    wait_for(vm.PowerOnVM_Task(), si)
    assert machines(si)[name] == "poweredOn"
    try:
        wait_for(vm.PowerOnVM_Task(), si)
        raise AssertionError("powered on twice")
    except vim.fault.InvalidPowerState as e:
        assert e.existingState == "poweredOn", e
    wait_for(vm.PowerOffVM_Task(), si)
    assert machines(si)[name] == "poweredOff"
    wait_for(vm.Destroy_Task(), si)
    assert name not in machines(si)
    try:
        vm.name
        raise AssertionError("a destroyed machine has a name")
    except vmodl.fault.ManagedObjectNotFound:
        pass


def events(si, name):
    """Reads what happened to a virtual machine by a collector of events."""
    events = si.content.eventManager.CreateCollectorForEvents(vim.event.EventFilterSpec())
    found, page = [], events.ReadNextEvents(50)
    while page:
        found += page
        page = events.ReadNextEvents(50)
    events.RewindCollector()
    # The simulator goes on behind the oldest event. A vCenter begins with it.
    again = [e.key for e in events.ReadNextEvents(10)]
    assert len(again) == 10 and again == [e.key for e in found[1:11]], (again, [e.key for e in found[:11]])
    kinds = {type(e) for e in found if e.vm is not None and e.vm.name == name}
    assert {vim.event.VmCreatedEvent, vim.event.VmPoweredOnEvent, vim.event.VmRemovedEvent} <= kinds, (name, kinds)
    assert {e.key for e in events.latestPage} & {e.key for e in found}
    events.DestroyCollector()


def tasks(si):
    """Reads what was done by a collector of tasks."""
    if si.content.about.apiType != "VirtualCenter":
        return  # the simulator's host has none
    tasks = si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec())
    assert tasks.ReadNextTasks(5) is not None
    tasks.DestroyCollector()


def client(number, trouble, together):
    try:
        si = connect()
        own = si.content.sessionManager.currentSession.key
        together.wait()
        for n in range(ROUNDS):
            name = "client%d-%d" % (number, n)
            before = set(machines(si))
            assert name not in before
            life(si, name)
            # The simulator is not safe for collectors of events beside calls that cause some.
            together.wait()
            events(si, name)
            together.wait()
            assert si.content.sessionManager.currentSession.key == own
        Disconnect(si)
    except BaseException as e:
        trouble.append(e)
        together.abort()
        raise


def main():
    trouble, together = [], threading.Barrier(2)
    clients = [threading.Thread(target=client, args=(n, trouble, together)) for n in range(2)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    if trouble:
        sys.exit(1)
    si = connect()
    tasks(si)
    print("ok", len(machines(si)))
    Disconnect(si)


main()
