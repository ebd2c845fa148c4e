// Owns: the servers that few cases want, all in one process: Socket.IO 2 and allowEIO3, servers without an adapter or
// with rare pings, and raw Engine.IO of both protocols. Must not: know anything about swarm.
// Arguments: ADDRESS KIND:NAME:PORT..., KIND one of v2 eio3 alone rare-pings patient engine4 engine3
'use strict';
const http = require('node:http');
const serverOf2 = require('socket.io-v2');
const engine3 = require('engine.io-v3');
const engine4 = require('engine.io');
const { Counts, sourceOf } = require('./counts.js');
const chat = require('./chat.js');
const front = require('./front.js');
const { serve } = require('./socketio.js');

const BEAT = { pingInterval: 2000, pingTimeout: 4000 };

function serve2({ name, address, port }) {
  const counts = new Counts(name);
  const server = front.frontOf(name, counts);
  const io = serverOf2(server, { ...BEAT, serveClient: false });
  front.sign(server, io.engine, name);
  chat.open(io, counts, front);
  server.listen({ port, host: address, backlog: 2048 }, () => console.log(`${name} listens`));
}

// Echoes each message, text as text and bytes as bytes; `close` makes it close the session.
function serveRaw(engine, { name, address, port }) {
  const counts = new Counts(name);
  const server = http.createServer((req, res) => {
    if (counts.answer(req, res)) return;
    counts.add(sourceOf(req), 'http');
    res.writeHead(404, { 'content-length': 0 });
    res.end();
  });
  const made = engine.attach(server, BEAT);
  front.sign(server, made, name);
  made.on('connection', (raw) => {
    const source = sourceOf(raw.request);
    counts.opened(source);
    counts.tally(source, 'handshakes', raw.transport.name);
    counts.sessions.opened(raw, source);
    raw.on('upgrade', () => counts.add(source, 'upgraded'));
    raw.on('message', (data) => {
      counts.add(source, 'messages');
      counts.sessions.did(raw, { what: 'message', data });
      if (data === 'close') return raw.close();
      return raw.send(data);
    });
    raw.on('close', (reason) => counts.closed(source, reason));
  });
  server.listen({ port, host: address, backlog: 2048 }, () => console.log(`${name} listens`));
}

const KINDS = {
  v2: serve2,
  eio3: (at) => serve({ ...at, allowEIO3: true }),
  alone: serve,
  'rare-pings': (at) => serve({ ...at, pingInterval: 10_000, pingTimeout: 5_000 }),
  patient: (at) => serve({ ...at, pingInterval: 4_000, pingTimeout: 2_000 }),
  engine4: (at) => serveRaw(engine4, at),
  engine3: (at) => serveRaw(engine3, at),
};

const [address, ...asked] = process.argv.slice(2);
for (const word of asked) {
  const [kind, name, port] = word.split(':');
  KINDS[kind]({ name, address, port: Number(port) });
}
