// Owns: the real Socket.IO client, for proving that the lab's servers count right. Arguments: URL TRANSPORT COUNT
'use strict';
const { io } = require('socket.io-client');

const [url, transport, count] = process.argv.slice(2);
const transports = { websocket: ['websocket'], polling: ['polling'], upgrade: ['polling', 'websocket'] }[transport];

async function one() {
  const socket = io(url, { transports, forceNew: true, reconnection: false });
  await new Promise((resolve, reject) => socket.on('connect', resolve).on('connect_error', reject));
  if (transport === 'upgrade' && socket.io.engine.transport.name !== 'websocket') {
    await new Promise((resolve) => socket.io.engine.once('upgrade', resolve));
  }
  return socket;
}

async function main() {
  const sockets = await Promise.all(Array.from({ length: Number(count) }, one));
  const acks = await Promise.all(sockets.map((s) => s.timeout(5000).emitWithAck('echo', { i: 1 })));
  for (const socket of sockets) socket.disconnect();
  console.log(`${acks.filter((a) => a.i === 1).length} acked`);
}

main().catch((e) => {
  console.error(e.message);
  process.exit(1);
});
