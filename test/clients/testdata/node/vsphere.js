// Works with sessions by node-vsphere-soap, which always uses TLS. Argument: host and port.
'use strict';
const assert = require('assert');
const {Client} = require('node-vsphere-soap');

const [host] = process.argv.slice(2);

function open() {
  return new Promise((resolve, reject) => {
    const c = new Client(host, 'administrator@vsphere.local', process.env.VIGATE_ADMIN_PASSWORD, true);
    c.once('ready', () => resolve(c));
    c.once('error', reject);
  });
}

// call makes a call. An error of the library is thrown inside of a callback, so that it ends the process.
const call = (c, name, args) => new Promise((resolve, reject) => {
  const e = c.runCommand(name, args);
  e.once('result', (result, raw) => resolve({result, raw}));
  e.once('error', reject);
});

const specOf = (c, path) => ({
  _this: c.serviceContent.propertyCollector,
  specSet: [{
    propSet: [{type: 'SessionManager', pathSet: [path]}],
    objectSet: [{obj: c.sessionManager}],
  }],
  options: {},
});

async function read(c, path) {
  const {result} = await call(c, 'RetrievePropertiesEx', specOf(c, path));
  return [].concat(result.returnval.objects)[0].propSet;
}

(async () => {
  const a = await open();
  assert.strictEqual(a.userName, 'VSPHERE.LOCAL\\Administrator');
  const b = await open();
  console.log('ok login');

  const key = async (c) => [].concat(await read(c, 'currentSession'))[0].val.key;
  const theirs = await key(b);
  const listed = [].concat([].concat(await read(a, 'sessionList'))[0].val.UserSession).map((s) => s.key);
  assert(listed.includes(theirs) && listed.includes(await key(a)), String(listed));
  console.log('ok list', listed.length);

  await call(a, 'TerminateSession', {_this: a.sessionManager, sessionId: [theirs]});
  // The library logs in again when a fault says that its session has ended.
  const again = new Promise((resolve) => b.once('ready', resolve));
  await call(b, 'CurrentTime', {_this: 'ServiceInstance'});
  await again;
  assert.notStrictEqual(await key(b), theirs);
  console.log('ok terminate');

  await call(b, 'Logout', {_this: b.sessionManager});
  await call(a, 'Logout', {_this: a.sessionManager});
  console.log('ok logout');
})().catch((e) => {
  console.error(e.stack.slice(0, 2000));
  process.exit(1);
});
