# Works with sessions as a client that SOAP::Lite builds from the WSDL. Argument: URL of the WSDL. The library trusts
# the server's certificate by PERL_LWP_SSL_CA_FILE.
use strict;
use warnings;
use HTTP::Cookies;
use SOAP::Lite;

my ($wsdl) = @ARGV;
my ($user, $password) = ('administrator@vsphere.local', $ENV{VIGATE_ADMIN_PASSWORD});

sub check {
    my ($ok, $what) = @_;
    die "wrong: $what\n" unless $ok;
}

sub text { return SOAP::Data->name(@_) }
sub part { my ($name, @members) = @_; return SOAP::Data->name($name => \SOAP::Data->value(@members)) }
sub object { my ($name, $type, $id) = @_; return text($name => $id // $type)->attr({type => $type}) }

# A client with cookies of its own, and its manager of sessions. The library writes types of its own guess, unless
# autotype is off.
sub client {
    my $vim = SOAP::Lite->service($wsdl);
    $vim->proxy($wsdl, cookie_jar => HTTP::Cookies->new(ignore_discard => 1));
    $vim->autotype(0)->want_som(1);
    my $content = $vim->RetrieveServiceContent(object('_this', 'ServiceInstance'))->result;
    return {vim => $vim, content => $content, manager => object('_this', 'SessionManager', $content->{sessionManager})};
}

sub login {
    my ($c, $secret) = @_;
    return $c->{vim}->Login($c->{manager}, text(userName => $user), text(password => $secret));
}

sub sessions {
    my ($c) = @_;
    my $som = $c->{vim}->RetrievePropertiesEx(
        object('_this', 'PropertyCollector', $c->{content}{propertyCollector}),
        part('specSet',
            part('propSet', text(type => 'SessionManager'), text(pathSet => 'sessionList')),
            part('objectSet', object('obj', 'SessionManager', $c->{content}{sessionManager}))),
        text(options => ''));
    return map { $_->{key} } $som->valueof('//UserSession');
}

sub end { my ($c, $key) = @_; return $c->{vim}->TerminateSession($c->{manager}, text(sessionId => $key)) }

# The name of the detail of a fault.
sub fault {
    my ($som) = @_;
    check($som->fault, 'no fault');
    return (keys %{$som->faultdetail})[0];
}

my $x = client();
check($x->{content}{about}{apiType} eq 'VirtualCenter', 'apiType');
check(fault(login($x, 'wrong')) eq 'InvalidLoginFault', 'wrong password');
my $own = login($x, $password)->result;
check($own->{userName} eq 'VSPHERE.LOCAL\\Administrator', 'userName');
print "ok login\n";

my $y = client();
my $theirs = login($y, $password)->result;
my %keys = map { $_ => 1 } sessions($x);
check($keys{$own->{key}} && $keys{$theirs->{key}}, join ' ', keys %keys);
print "ok list ", scalar(keys %keys), "\n";

check(!end($x, $theirs->{key})->fault, 'terminate');
check(fault(end($y, $own->{key})) eq 'NotAuthenticatedFault', 'ended session');
check(fault(end($x, $theirs->{key})) eq 'NotFoundFault', 'ended twice');
print "ok terminate\n";

check(!$x->{vim}->Logout($x->{manager})->fault, 'logout');
check(fault($x->{vim}->Logout($x->{manager})) eq 'NotAuthenticatedFault', 'logged out twice');
print "ok logout\n";
