// Owns: one real Socket.IO v4 server of the lab, with the Redis adapter or none, that names itself on every response.
// Must not: know anything about swarm. Arguments: NAME ADDRESS PORT REDIS_PORT
'use strict';
const { Server } = require('socket.io');
const { createAdapter } = require('@socket.io/redis-adapter');
const { createClient } = require('redis');
const { Counts, sourceOf } = require('./counts.js');
const chat = require('./chat.js');
const front = require('./front.js');

function serve({ name, address, port, adapter, ...options }) {
  const counts = new Counts(name);
  const server = front.frontOf(name, counts);
  const io = new Server(server, { pingInterval: 2000, pingTimeout: 4000, cors: { origin: '*' }, ...options });
  if (adapter) io.adapter(adapter);
  front.sign(server, io.engine, name);
  io.engine.on('connection_error', (err) => {
    if (err.req) counts.add(sourceOf(err.req), 'refused');
  });
  chat.open(io, counts, front);
  server.listen({ port: Number(port), host: address, backlog: 2048 }, () => console.log(`${name} listens`));
}

async function main([name, address, port, redisPort]) {
  const pub = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) client.on('error', (e) => { console.error(`${name}: redis: ${e.message}`); });
  await Promise.all([pub.connect(), sub.connect()]);
  serve({ name, address, port, adapter: createAdapter(pub, sub) });
}

if (require.main === module) {
  main(process.argv.slice(2)).catch((e) => {
    console.error(e.stack);
    process.exit(1);
  });
}

module.exports = { serve };
