// Owns: the lab's plain WebSocket server: echo, and on demand a close code, an invalid frame, pings, silence.
// Must not: know anything about swarm. Arguments: NAME ADDRESS PORT
//   /            echoes          /close/CODE  closes with CODE after the first message (/close-now/CODE: at once)
//   /garbage     answers the first message with a frame that no one may send
//   /ping        pings each client twice a second and counts the pongs       /silent  never answers
'use strict';
const http = require('node:http');
const { WebSocketServer } = require('ws');
const { Counts, sourceOf } = require('./counts.js');

const [name, address, port] = process.argv.slice(2);
const counts = new Counts(name);

const server = http.createServer((req, res) => {
  res.setHeader('X-Backend', name);
  if (counts.answer(req, res)) return;
  counts.add(sourceOf(req), 'http');
  res.writeHead(426, { 'content-length': 0 });
  res.end();
});

const wss = new WebSocketServer({ server, perMessageDeflate: false });
wss.on('headers', (headers) => { headers.push(`X-Backend: ${name}`); });
wss.on('connection', (socket, req) => {
  const source = sourceOf(req);
  const [, word, code] = req.url.split('?')[0].split('/');
  counts.opened(source);
  counts.tally(source, 'handshakes', 'websocket');
  const raw = { request: req, transport: { name: 'websocket' }, on: (word, heard) => word === 'close' && socket.on(word, heard) };
  counts.sessions.opened(raw, source);
  let pinging;
  if (word === 'ping') pinging = setInterval(() => socket.ping('are you there'), 500);
  if (word === 'close-now') socket.close(Number(code), 'as asked');
  socket.on('pong', (payload) => {
    if (payload.toString() === 'are you there') counts.add(source, 'pongs');
  });
  socket.on('message', (message, binary) => {
    counts.add(source, 'messages');
    counts.sessions.did(raw, { what: 'message', data: binary ? message : message.toString() });
    if (word === 'close') return socket.close(Number(code), 'as asked');
    // Opcode 3 with a reserved bit: RFC 6455 section 5.2 makes the client fail the connection.
    if (word === 'garbage') return req.socket.write(Buffer.from([0xf3, 0x02, 0x68, 0x69]));
    if (word === 'silent') return undefined;
    return socket.send(message, { binary });
  });
  socket.on('error', () => {});
  socket.on('close', (reason) => {
    clearInterval(pinging);
    counts.closed(source, reason);
  });
});

server.listen({ port: Number(port), host: address, backlog: 2048 }, () => console.log(`${name} listens`));
