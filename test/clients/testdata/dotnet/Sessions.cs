// Works with sessions as a client that wsdl builds from the WSDL. Argument: URL of the server's SDK.
using System;
using System.Linq;
using System.Net;
using System.Web.Services.Protocols;
using Vim25;

static class Sessions
{
    const string User = "administrator@vsphere.local";
    static readonly string Password = Environment.GetEnvironmentVariable("VIGATE_ADMIN_PASSWORD");

    static ManagedObjectReference Reference(string type)
    {
        return new ManagedObjectReference { type = type, Value = type };
    }

    static void Check(bool ok, string what)
    {
        if (!ok) throw new Exception("wrong: " + what);
    }

    // The name of the detail of the fault that a call gives.
    static string Fault(Action call)
    {
        try
        {
            call();
        }
        catch (SoapException e)
        {
            return e.Detail.FirstChild.LocalName;
        }
        throw new Exception("no fault");
    }

    static string[] Keys(VimService vim, ServiceContent content)
    {
        var spec = new PropertyFilterSpec
        {
            propSet = new[] { new PropertySpec { type = "SessionManager", pathSet = new[] { "sessionList" } } },
            objectSet = new[] { new ObjectSpec { obj = content.sessionManager } },
        };
        var result = vim.RetrievePropertiesEx(content.propertyCollector, new[] { spec }, new RetrieveOptions());
        return ((UserSession[])result.objects[0].propSet[0].val).Select(s => s.key).ToArray();
    }

    static void Main(string[] args)
    {
        Func<VimService> open = () => new VimService { Url = args[0], CookieContainer = new CookieContainer() };
        VimService a = open(), b = open();
        var content = a.RetrieveServiceContent(Reference("ServiceInstance"));
        var manager = content.sessionManager;
        Check(content.about.apiType == "VirtualCenter", "apiType");

        Check(Fault(() => a.Login(manager, User, "wrong", null)) == "InvalidLoginFault", "wrong password");
        var own = a.Login(manager, User, Password, null);
        Check(own.userName == "VSPHERE.LOCAL\\Administrator" && !own.extensionSession, own.userName);
        Check(own.loginTime > DateTime.Now.AddDays(-1), "loginTime");
        Console.WriteLine("ok login");

        var theirs = b.Login(manager, User, Password, null);
        var keys = Keys(a, content);
        Check(keys.Contains(own.key) && keys.Contains(theirs.key), string.Join(" ", keys));
        Console.WriteLine("ok list " + keys.Length);

        a.TerminateSession(manager, new[] { theirs.key });
        Check(Fault(() => b.TerminateSession(manager, new[] { own.key })) == "NotAuthenticatedFault", "ended session");
        Check(Fault(() => a.TerminateSession(manager, new[] { theirs.key })) == "NotFoundFault", "ended twice");
        Console.WriteLine("ok terminate");

        a.Logout(manager);
        Check(Fault(() => a.Logout(manager)) == "NotAuthenticatedFault", "logged out twice");
        Console.WriteLine("ok logout");
    }
}
