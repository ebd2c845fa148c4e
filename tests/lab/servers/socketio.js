// Owns: one real Socket.IO v4 server of the lab, with the Redis adapter, that names itself on every response.
// Must not: know anything about swarm. Arguments: NAME ADDRESS PORT REDIS_PORT
'use strict';
const http = require('node:http');
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/redis-adapter');
const { createClient } = require('redis');
const { Counts, sourceOf } = require('./counts.js');

const [name, address, port, redisPort] = process.argv.slice(2);
const counts = new Counts(name);

const server = http.createServer((req, res) => {
  res.setHeader('X-Backend', name);
  if (counts.answer(req, res)) return;
  const source = sourceOf(req);
  counts.add(source, 'http');
  req.resume();
  const path = req.url.split('?')[0];
  if (path === '/redirect') {
    res.writeHead(302, { location: '/', 'content-length': 0 });
    return res.end();
  }
  const status = /^\/status\/\d{3}$/.test(path) ? Number(path.slice(8)) : 200;
  const body = `hello from ${name} to ${source}\n`;
  res.writeHead(status, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body) });
  res.end(body);
});
server.keepAliveTimeout = 60_000;

const io = new Server(server, { pingInterval: 2000, pingTimeout: 4000, cors: { origin: '*' } });

// `headers` is emitted for every response (polling and the upgrade's 101 alike).
io.engine.on('headers', (headers) => { headers['X-Backend'] = name; });
io.engine.on('connection', (raw) => {
  const source = sourceOf(raw.request);
  counts.tally(source, 'handshakes', raw.transport.name);
  raw.on('upgrade', () => counts.add(source, 'upgraded'));
});
io.engine.on('connection_error', (err) => {
  if (err.req) counts.add(sourceOf(err.req), 'refused');
});

function welcome(socket) {
  const source = sourceOf(socket.request);
  counts.opened(source);
  counts.tally(source, 'namespaces', socket.nsp.name);
  socket.onAny(() => counts.add(source, 'emits'));
  socket.on('echo', (...args) => {
    const ack = typeof args.at(-1) === 'function' ? args.pop() : undefined;
    socket.emit('echo', ...args);
    if (ack) ack(...args);
  });
  // Told to all servers' clients: this is what the Redis adapter carries.
  socket.on('shout', (...args) => {
    if (typeof args.at(-1) === 'function') args.pop()();
    io.of(socket.nsp.name).emit('shout', ...args);
  });
  socket.on('kick', () => socket.disconnect(true));
  socket.on('disconnect', (reason) => counts.closed(source, reason));
}

io.on('connection', welcome);
io.of('/chat').on('connection', welcome);
io.of('/admin')
  .use((socket, next) => {
    if (socket.handshake.auth?.token === 'secret') return next();
    next(new Error('not authorized'));
  })
  .on('connection', welcome);

async function main() {
  const pub = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) client.on('error', (e) => { console.error(`${name}: redis: ${e.message}`); });
  await Promise.all([pub.connect(), sub.connect()]);
  io.adapter(createAdapter(pub, sub));
  server.listen({ port: Number(port), host: address, backlog: 2048 }, () => console.log(`${name} listens`));
}

main().catch((e) => {
  console.error(`${name}: ${e.stack}`);
  process.exit(1);
});
