// Owns: one Socket.IO v4 server for ten_thousand.sh: acknowledges `ping`, and says on GET /counts what it saw.
// Must not: know anything about swarm. Arguments: PORT
'use strict';
const http = require('node:http');
const { Server } = require('socket.io');

const counts = { connected: 0, peak: 0, emits: 0, pongs: 0, reasons: {} };
const server = http.createServer((req, res) => {
  res.end(JSON.stringify({ ...counts, open: io.engine.clientsCount }));
});
const io = new Server(server, { transports: ['websocket'] });
io.on('connection', (socket) => {
  counts.connected += 1;
  counts.peak = Math.max(counts.peak, io.engine.clientsCount);
  socket.conn.on('packet', ({ type }) => { if (type === 'pong') counts.pongs += 1; });
  socket.on('ping me', (ack) => { counts.emits += 1; ack(); });
  socket.on('disconnect', (reason) => { counts.reasons[reason] = (counts.reasons[reason] ?? 0) + 1; });
});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 2048 }, () => console.log('listens'));
