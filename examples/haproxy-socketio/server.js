// Three Socket.IO servers that name themselves in X-Backend on every answer, and HAProxy before them as a child.
'use strict';
const http = require('node:http');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { Server } = require('socket.io');

async function serve(name, port) {
  const server = http.createServer((req, res) => {
    res.setHeader('X-Backend', name);
    res.end(`hello from ${name}\n`);
  });
  const io = new Server(server);
  // Every response of the engine: polling, and the upgrade's 101 too.
  io.engine.on('headers', (headers) => { headers['X-Backend'] = name; });
  io.on('connection', (socket) => {
    socket.on('echo', (payload, ack) => {
      if (typeof ack === 'function') ack(payload);
      else socket.emit('echo', payload);
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { name, io };
}

async function main() {
  const servers = await Promise.all([serve('s1', 8011), serve('s2', 8012), serve('s3', 8013)]);
  const haproxy = spawn('haproxy', ['-db', '-f', `${__dirname}/haproxy.cfg`], { stdio: 'inherit' });
  haproxy.on('error', (e) => { console.error(`haproxy did not start: ${e.message}`); process.exit(1); });
  haproxy.on('exit', (code) => process.exit(code ?? 1));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => haproxy.kill());
  console.log('HAProxy on http://127.0.0.1:8000 (not sticky: 8001), servers s1 to s3 behind it; Ctrl-C ends all');

  let before = '';
  setInterval(() => {
    const now = servers.map(({ name, io }) => `${name} ${io.engine.clientsCount}`).join('  ');
    if (now !== before) console.log(`clients: ${now}`);
    before = now;
  }, 1000);
}

main();
