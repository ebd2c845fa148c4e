// Owns: the real clients of Socket.IO 2 and 4 and of Engine.IO 3 and 4, led through one fixed scenario, so that what a
// server logs of them can be laid beside what it logs of another client. Must not: know anything about swarm.
// The argument is JSON, with defaults:
//   {"url": "http://..", "version": 4, "transport": "websocket", "clients": 1, "namespaces": ["/"], "auth": null, "query": {},
//    "emits": [["echo", 1]], "ack": false, "answer": null, "hold": 300, "stays": false, "raw": false}
// Each client enters the namespaces in order, waits for its upgrade, emits in each (with `ack` waiting for each answer),
// answers `question` with `answer`, stays for `hold` ms, and leaves, the namespaces in order. {"hex": ".."} in an emit is
// bytes. With "raw" it is a client of Engine.IO (version 3 or 4) that sends each emit as a message. With "stays" it does not
// leave by itself: the server is expected to throw it out. Prints what the clients saw.
'use strict';
const { Manager } = require('socket.io-client');
const { Manager: ManagerOf2 } = require('socket.io-client-v2');
const { Socket: Engine } = require('engine.io-client');
const engineOf3 = require('engine.io-client-v3');

const DEFAULTS = { version: 4, transport: 'websocket', clients: 1, namespaces: ['/'], auth: null, query: {}, emits: [], ack: false, answer: null, hold: 300, stays: false, raw: false };
const plan = { ...DEFAULTS, ...JSON.parse(process.argv[2]) };
const transports = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }[plan.transport];
const seen = { connected: 0, refused: [], acks: [], heard: {}, answered: 0, disconnects: {} };

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function bytes(value) {
  if (Array.isArray(value)) return value.map(bytes);
  if (value && typeof value === 'object') {
    if (typeof value.hex === 'string') return Buffer.from(value.hex, 'hex');
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, bytes(v)]));
  }
  return value;
}

function plain(value) {
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) return { hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value;
}

function enter(manager, namespace) {
  const socket = manager.socket(namespace, plan.version === 4 && plan.auth ? { auth: plan.auth } : {});
  for (const event of ['echo', 'bin', 'shout', 'broadcast-all', 'broadcast-others', 'said', 'question']) {
    socket.on(event, (...args) => {
      seen.heard[event] = (seen.heard[event] ?? 0) + 1;
      const ack = typeof args.at(-1) === 'function' ? args.pop() : undefined;
      if (!ack || !plan.answer) return;
      seen.answered += 1;
      ack(...bytes(plan.answer));
    });
  }
  socket.on('disconnect', (reason) => { seen.disconnects[reason] = (seen.disconnects[reason] ?? 0) + 1; });
  socket.connect();
  return new Promise((done, failed) => {
    socket.on('connect', () => { seen.connected += 1; done(socket); });
    // Version 4 has one name for both; in version 2 `error` is the namespace's word, `connect_error` the connection's.
    const refused = (e) => { seen.refused.push(e.message ?? e); done(); };
    socket.on(plan.version === 4 ? 'connect_error' : 'error', refused);
    if (plan.version === 2) socket.on('connect_error', failed);
  });
}

async function one() {
  const options = { transports, forceNew: true, reconnection: false, autoConnect: false, query: plan.query };
  const manager = plan.version === 4 ? new Manager(plan.url, options) : new ManagerOf2(plan.url, options);
  const sockets = [];
  let upgraded;
  for (const namespace of plan.namespaces) {
    const entering = enter(manager, namespace);
    upgraded ??= plan.transport === 'upgrade' ? new Promise((done) => manager.engine.once('upgrade', done)) : Promise.resolve();
    const socket = await entering;
    if (socket) sockets.push(socket);
  }
  if (sockets.length > 0) await upgraded;
  for (const socket of sockets) {
    for (const emit of bytes(plan.emits)) {
      if (plan.ack) seen.acks.push(plain(await new Promise((done) => socket.emit(...emit, (...args) => done(args)))));
      else socket.emit(...emit);
    }
  }
  await pause(plan.hold);
  if (plan.stays) return;
  for (const socket of sockets) socket.disconnect();
  manager.engine?.close();
}

async function oneRaw() {
  const options = { transports, query: plan.query };
  const engine = plan.version === 4 ? new Engine(plan.url, options) : engineOf3(plan.url, options);
  engine.on('message', () => { seen.heard.message = (seen.heard.message ?? 0) + 1; });
  engine.on('close', (reason) => { seen.disconnects[reason] = (seen.disconnects[reason] ?? 0) + 1; });
  const upgraded = plan.transport === 'upgrade' ? new Promise((done) => engine.once('upgrade', done)) : Promise.resolve();
  await new Promise((done, failed) => engine.once('open', done).once('error', failed));
  seen.connected += 1;
  await upgraded;
  for (const message of plan.emits) engine.send(message);
  await pause(plan.hold);
  if (plan.stays) return;
  engine.close();
}

Promise.all(Array.from({ length: plan.clients }, plan.raw ? oneRaw : one)).then(
  // It ends by itself when all that it has to say is said.
  () => console.log(JSON.stringify(seen)),
  (e) => { console.error(e); process.exit(1); },
);
