<?php
// Works with sessions as a client that SoapClient builds from the WSDL. Arguments: URL of the WSDL, file of the
// server's certificate.
declare(strict_types=1);

[, $wsdl, $ca] = $argv;
const USER = 'administrator@vsphere.local';

function check(bool $ok, string $what): void
{
    if (!$ok) {
        fwrite(STDERR, "wrong: $what\n");
        exit(1);
    }
}

class Client
{
    public SoapClient $vim;
    public object $content;
    public array $manager;

    public function __construct(string $wsdl, string $ca)
    {
        $this->vim = new SoapClient($wsdl, [
            'cache_wsdl' => WSDL_CACHE_MEMORY,
            'features' => SOAP_SINGLE_ELEMENT_ARRAYS,
            'stream_context' => stream_context_create(['ssl' => ['cafile' => $ca]]),
        ]);
        $this->content = $this->vim->RetrieveServiceContent(['_this' => self::ref('ServiceInstance')])->returnval;
        $this->manager = self::ref('SessionManager', $this->content->sessionManager->_);
    }

    public static function ref(string $type, ?string $value = null): array
    {
        return ['_' => $value ?? $type, 'type' => $type];
    }

    public function login(string $password): object
    {
        return $this->vim->Login(['_this' => $this->manager, 'userName' => USER, 'password' => $password])->returnval;
    }

    public function sessions(): array
    {
        $result = $this->vim->RetrievePropertiesEx([
            '_this' => self::ref('PropertyCollector', $this->content->propertyCollector->_),
            'specSet' => [[
                'propSet' => [['type' => 'SessionManager', 'pathSet' => ['sessionList']]],
                'objectSet' => [['obj' => $this->manager]],
            ]],
            'options' => [],
        ]);
        $all = $result->returnval->objects[0]->propSet[0]->val;
        return $all->UserSession;
    }

    public function end(string $key): void
    {
        $this->vim->TerminateSession(['_this' => $this->manager, 'sessionId' => [$key]]);
    }
}

// The name of the fault's detail that a call gives, and the decoded detail.
function fault(callable $call): array
{
    try {
        $call();
    } catch (SoapFault $f) {
        $members = get_object_vars($f->detail);
        $name = array_key_first($members);
        return [$name, $members[$name]];
    }
    check(false, 'no fault');
}

$a = new Client($wsdl, $ca);
check($a->content->about->apiType === 'VirtualCenter', 'apiType');
[$name] = fault(fn () => $a->login('wrong'));
check($name === 'InvalidLoginFault', $name);
$own = $a->login(getenv('VIGATE_ADMIN_PASSWORD'));
check($own->userName === 'VSPHERE.LOCAL\\Administrator' && $own->extensionSession === false, 'session');
echo "ok login\n";

$b = new Client($wsdl, $ca);
$theirs = $b->login(getenv('VIGATE_ADMIN_PASSWORD'));
$keys = array_column($a->sessions(), 'key');
check(in_array($own->key, $keys, true) && in_array($theirs->key, $keys, true), implode(' ', $keys));
echo 'ok list ', count($keys), "\n";

$a->end($theirs->key);
[$name, $detail] = fault(fn () => $b->end($own->key));
check($name === 'NotAuthenticatedFault', $name);
[$name] = fault(fn () => $a->end($theirs->key));
check($name === 'NotFoundFault', $name);
echo "ok terminate\n";

$a->vim->Logout(['_this' => $a->manager]);
[$name] = fault(fn () => $a->vim->Logout(['_this' => $a->manager]));
check($name === 'NotAuthenticatedFault', $name);
echo "ok logout\n";
