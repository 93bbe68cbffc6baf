// Works with sessions as a client that the library soap builds from the WSDL. Argument: URL of the WSDL. Node
// trusts the server's certificate by NODE_EXTRA_CA_CERTS.
'use strict';
const assert = require('assert');
const soap = require('soap');

const [wsdl] = process.argv.slice(2);
const user = 'administrator@vsphere.local';
const password = process.env.VIGATE_ADMIN_PASSWORD;

const ref = (type, value = type) => ({attributes: {type}, $value: value});
const plain = (r) => ref(r.attributes.type, r.$value);

// open returns a client with a cookie of its own.
async function open() {
  const client = await soap.createClientAsync(wsdl);
  const call = async (name, args) => (await client[name + 'Async'](args))[0];
  const content = (await call('RetrieveServiceContent', {_this: ref('ServiceInstance')})).returnval;
  return {client, call, content, manager: plain(content.sessionManager)};
}

async function login(c, secret = password) {
  const session = (await c.call('Login', {_this: c.manager, userName: user, password: secret})).returnval;
  const [cookie] = c.client.lastResponseHeaders['set-cookie'];
  c.client.addHttpHeader('Cookie', cookie.split(';')[0]);
  return session;
}

async function fault(call) {
  try {
    await call();
  } catch (e) {
    const f = e.root.Envelope.Body.Fault;
    const [name] = Object.keys(f.detail);
    return {name, type: f.detail[name].attributes['xsi:type'], text: f.faultstring, detail: f.detail[name]};
  }
  throw new Error('no fault');
}

async function sessions(c) {
  const {returnval} = await c.call('RetrievePropertiesEx', {
    _this: plain(c.content.propertyCollector),
    specSet: [{propSet: [{type: 'SessionManager', pathSet: ['sessionList']}], objectSet: [{obj: c.manager}]}],
    options: {},
  });
  return [].concat(returnval.objects[0].propSet[0].val.UserSession);
}

(async () => {
  const a = await open();
  let f = await fault(() => login(a, 'wrong'));
  assert.deepStrictEqual([f.name, f.type], ['InvalidLoginFault', 'InvalidLogin']);
  const own = await login(a);
  assert.strictEqual(own.userName, 'VSPHERE.LOCAL\\Administrator');
  assert.strictEqual(own.extensionSession, false);
  assert(own.loginTime instanceof Date);
  console.log('ok login');

  const b = await open();
  const theirs = await login(b);
  const keys = (await sessions(a)).map((s) => s.key);
  assert(keys.includes(own.key) && keys.includes(theirs.key), String(keys));
  console.log('ok list', keys.length);

  await a.call('TerminateSession', {_this: a.manager, sessionId: [theirs.key]});
  f = await fault(() => b.call('TerminateSession', {_this: b.manager, sessionId: [own.key]}));
  assert.strictEqual(f.name, 'NotAuthenticatedFault');
  assert.strictEqual(f.detail.privilegeId, 'Sessions.TerminateSession');
  assert(!(await sessions(a)).some((s) => s.key === theirs.key));
  console.log('ok terminate');

  await a.call('Logout', {_this: a.manager});
  f = await fault(() => a.call('Logout', {_this: a.manager}));
  assert.strictEqual(f.type, 'NotAuthenticated');
  console.log('ok logout');
})().catch((e) => {
  console.error(e.stack.slice(0, 2000));
  process.exit(1);
});
